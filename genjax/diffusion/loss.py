"""The denoising loss, for every process, prediction, weighting and network."""

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.diffusion.prediction import check_defined
from genjax.diffusion.prediction import clipped_log_snr
from genjax.diffusion.prediction import predict
from genjax.diffusion.prediction import Prediction
from genjax.diffusion.prediction import unit_variance
from genjax.diffusion.process import perturb
from genjax.diffusion.process import Process
from genjax.diffusion.times import Quantile
from genjax.diffusion.times import stratified
from genjax.diffusion.weighting import Weighting
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import mean_per_example
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Apply
from genjax.types import Array
from genjax.types import LossFn
from genjax.types import Mean

# Edges of the log-SNR bins in which the loss is reported.
LOG_SNR_EDGES = (-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0)


def make_loss(
    apply: Apply, process: Process, prediction: Prediction, *,
    times: Quantile, weighting: Weighting, data_std: float,
    num_classes: int | None = None, label_dropout: float = 0.0,
    scale_input=unit_variance, embed_noise=clipped_log_snr, train: bool = True,
) -> LossFn:
  """Weighted squared error of E[x_0 | x_t], a mean over data dimensions.

  w(log_snr) |x0_hat - x0|^2, computed as w b^2 |output - target|^2, where b is
  the slope of `to_x0` in the output: the same number, without dividing the
  network's error by it and multiplying it back.

  Noise, time and label dropout of an example come from the key folded with
  its global index: the same loss on any number of devices.

  Args:
    apply: the network.
    process: the noise process.
    prediction: what the network's output means.
    times: quantile function of the training times.
    weighting: w(log_snr) on the x_0 error.
    data_std: standard deviation of the data.
    num_classes: the label that stands for "no class"; None for unconditional.
    label_dropout: share of labels replaced by "no class", for guidance.
    scale_input: see `make_denoiser`.
    embed_noise: see `make_denoiser`.
    train: what the network is told; False for held-out data.

  Returns:
    LossFn over batches {'x' [B, ...], 'index' [B], 'label' [B] if conditional,
    'mask' [B] if some examples are to be left out, whatever they hold}. Data
    of any dtype is taken as float32, or float64 where it is that. Its metrics
    are the loss by log-SNR bin; the bins' totals and counts add up to those of
    the batch.

  Raises:
    ValueError: a label dropout outside [0, 1), or without classes.
    ValueError: `prediction` divides by alpha and alpha is 0 at t_max.
  """
  check(0 <= label_dropout < 1, 'make_loss', 'label_dropout must be in [0, 1)',
        label_dropout)
  check(num_classes is not None or label_dropout == 0, 'make_loss',
        'label_dropout needs num_classes', label_dropout)
  check_defined('make_loss', process, prediction)

  def loss_fn(params, key, batch, context):
    del context
    x0 = widen(batch['x'])
    mask = widen(batch.get('mask', jnp.ones(x0.shape[:1])))
    # A NaN times 0 is one, in the loss and in its gradient.
    x0 = jnp.where(broadcast_right(mask > 0, x0.ndim), x0, 0.0)
    key_time, key_example = jax.random.split(key)
    key_eps, key_label, key_net = jax.random.split(key_example, 3)
    t = times(stratified(key_time, batch['index']))
    keys = fold_in_each(key_eps, batch['index'])
    eps = normal_each(keys, x0.shape[1:], x0.dtype)
    label = None
    if num_classes is not None:
      keys = fold_in_each(key_label, batch['index'])
      drop = jax.vmap(lambda k: jax.random.bernoulli(k, label_dropout))(keys)
      # "No class" may not fit in the dtype of the labels.
      given = batch['cond']['label'].astype(jnp.int32)
      label = jnp.where(drop, num_classes, given)

    xt = perturb(process, x0, eps, t)
    output = predict(
        apply, process, {'params': params}, xt, t, label, data_std=data_std,
        scale_input=scale_input, embed_noise=embed_noise, train=train,
        rngs={'dropout': key_net})
    error = output - prediction.target(process, x0, eps, t)
    one = jnp.ones_like(t)
    slope = prediction.to_x0(process, one, jnp.zeros_like(t), t)
    log_snr = process.log_snr(t)
    weight = weighting(log_snr) * jnp.square(slope)
    losses = weight * mean_per_example(jnp.square(error))
    loss = jnp.sum(mask * losses) / jnp.sum(mask)
    return loss, _by_log_snr(losses, log_snr, mask)

  return loss_fn


def _by_log_snr(losses: Array, log_snr: Array, mask: Array) -> dict[str, Mean]:
  edges = (-jnp.inf, *LOG_SNR_EDGES, jnp.inf)
  bins = {}
  for low, high in zip(edges[:-1], edges[1:]):
    inside = jnp.where((log_snr >= low) & (log_snr < high), mask, 0.0)
    # Names of scalars in a log may not hold brackets or commas.
    bins[f'loss_by_log_snr/{low:g}_to_{high:g}'] = Mean(
        jnp.sum(inside * losses), jnp.sum(inside))
  return bins
