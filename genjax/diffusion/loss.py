"""The denoising loss, for every process, prediction, weighting and network."""

from typing import Any, Callable, Iterator, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.data import pipeline
from genjax.diffusion.conditions import drop as drop_some
from genjax.diffusion.conditions import Null
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import predict
from genjax.diffusion.prediction import check_defined
from genjax.diffusion.process import perturb
from genjax.diffusion.schedule import interior_alone
from genjax.diffusion.schedule import interior_stopped
from genjax.diffusion.times import FIRST
from genjax.diffusion.times import invert
from genjax.diffusion.times import stratified
from genjax.diffusion.weighting import Weighting
from genjax.numerics import batch_mean
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import mean_per_example
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.training import parallel
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Context
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Mean
from genjax.types import Metrics
from genjax.types import Params
from genjax.types import Process
from genjax.types import PyTree
from genjax.types import Quantile
from genjax.types import Source

# Edges of the log-SNR bins in which the loss is reported.
LOG_SNR_EDGES = (-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0)

# (process, params) -> quantile function of the training times.
TimesOf = Callable[[Process, Params], Quantile]
# (params['weighting'], log_snr [B]) -> log of the expected loss there [B].
Uncertainty = Callable[[Params, Array], Array]


class Errors(NamedTuple):
  """How far each example is denoised wrong, at one noise level each; all [B].

  The squared error of E[x_0 | x_t] is slope^2 target: kept apart, the network's
  error is not divided by the slope and multiplied back.
  """

  target: Array  # squared error of the target, a mean over data dimensions
  slope: Array  # of x_0 in the target
  log_snr: Array
  rate: Array  # |d log_snr / du| of `process.times` at this level, nats
  # The density of this level under `process.times` over that under the times
  # it was drawn from: 1 where these are the same.
  importance: Array
  mask: Array  # 0 where the rest is not to be looked at
  rest: PyTree  # what else the network says, [B, ...]


def make_errors(
    model: Diffusion, *, times: Quantile | None = None,
    times_of: TimesOf | None = None, null: Null | None = None,
    drop: float = 0.0, train: bool = True
) -> Callable[[Params, Key, Batch], Errors]:
  """(params, key, batch) -> Errors; arguments as of `make_loss`."""
  check(0 <= drop < 1, 'make_loss', 'drop must be in [0, 1)', drop)
  check(null is not None or drop == 0, 'make_loss', 'drop needs null', drop)
  check(times is None or times_of is None, 'make_loss', 'times must be absent '
        'where there is times_of', times)

  def errors(params: Params, key: Key, batch: Batch) -> Errors:
    process = model.process_of(params)
    check_defined('make_loss', process, model.prediction)
    x0, index = widen(batch['x']), batch['index']
    mask = widen(batch.get('mask', jnp.ones(x0.shape[:1])))
    # A NaN times 0 is one, in the loss and in its gradient.
    x0 = jnp.where(broadcast_right(mask > 0, x0.ndim), x0, 0.0)
    key_time, key_example = jax.random.split(key)
    key_eps, key_cond, key_net = jax.random.split(key_example, 3)
    cond = None
    if null is not None:
      given = jax.tree.map(lambda part: jnp.where(
          broadcast_right(mask > 0, jnp.ndim(part)), part, 0),
                           dict(batch.get('cond', {})))
      keys = fold_in_each(key_cond, index)
      dropped = jax.vmap(lambda k: jax.random.bernoulli(k, drop))(keys)
      cond = drop_some(given, dropped | (mask == 0), null)

    u = stratified(key_time, index)
    t, log_snr, rate, importance = _levels(
        process, times_of(process, params) if times_of else times, u)
    keys = fold_in_each(key_eps, index)
    eps = normal_each(keys, x0.shape[1:], x0.dtype)
    mean, rest = predict(
        model, process, params, perturb(process, x0, eps, t), t, cond,
        train=train, rngs={'dropout': key_net})
    error = mean - model.prediction.target(process, x0, eps, t)
    one = jnp.ones_like(t)
    slope = model.prediction.to_x0(process, one, jnp.zeros_like(t), t)
    return Errors(mean_per_example(jnp.square(error)), slope, log_snr, rate,
                  importance, mask, rest)

  return errors


def _levels(
    process: Process, times: Quantile | None, u: Array
) -> tuple[Array, Array, Array, Array]:
  """(t, log_snr, rate, importance), each [B], of u [B]; see `Errors`."""

  def through(quantile: Quantile, u: Array) -> tuple[Array, Array]:
    log_snr, rate = jax.jvp(lambda u: process.log_snr(quantile(u)), (u,),
                            (jnp.ones_like(u),))
    return log_snr, jnp.abs(rate)

  if times is None:
    t = process.times(u)
    return t, *through(process.times, u), jnp.ones_like(t)
  t = times(u)
  log_snr, drawn_rate = through(times, u)
  low, high = process.times(jnp.asarray([FIRST, 1 - FIRST], t.dtype))
  # Where `process.times` would have had this level.
  _, rate = through(process.times, invert(process.times, t, FIRST, 1 - FIRST))
  importance = jnp.where((t >= low) & (t <= high), drawn_rate / rate, 0.0)
  return t, log_snr, rate, importance


def make_loss(
    model: Diffusion, *, weighting: Weighting, times: Quantile | None = None,
    times_of: TimesOf | None = None, uncertainty: Uncertainty | None = None,
    balanced: bool = True, least_variance: bool = False,
    null: Null | None = None, drop: float = 0.0
) -> LossFn:
  """Weighted squared error of E[x_0 | x_t], a mean over data dimensions.

  w(log_snr, rate) |x0_hat - x0|^2 at the times of the process. Other training
  times change how often a level is seen, not the expectation: what they see
  more often weighs less, and beyond the process's times nothing.

  With an uncertainty u(log_snr) the loss L of an example becomes L exp(-u) + u
  (arXiv:2312.02696, eq. 14, 15), least where exp(u) is the expected loss.

  Noise, time and dropout of the condition of an example come from the key
  folded with its global index: the same loss on any number of devices.

  Args:
    model: the model.
    weighting: w(log_snr, rate) on the x_0 error.
    times: quantile function of the training times; those of the process where
      absent, which it has to cover.
    times_of: the same of (process, params), where it depends on these.
    uncertainty: (params['weighting'], log_snr) -> u, learned.
    balanced: whether the network is trained on L exp(-u); on L if False, and u
      beside it.
    least_variance: whether a learned schedule is trained by the variance of
      L, between its ends, and not by its mean, which does not depend on it
      where the weighting is a measure over levels: arXiv:2107.00630, appendix
      I.2. Takes a second pass through the network.
    null: the condition that stands for none, `conditions.null`; where absent
      the model is told no condition, whatever the batch holds.
    drop: share of examples that the model is told none of, for guidance.

  Returns:
    LossFn over batches {'x' [B, ...], 'index' [B], 'cond' of a conditional
    model, 'mask' [B] if some examples are to be left out, whatever they hold}.
    Data of any dtype is taken as float32, or float64 where it is that. Its
    metrics are the loss L by log-SNR bin; the bins' totals and counts add up to
    those of the batch.

  Raises:
    ValueError: `drop` outside [0, 1), or without `null`; both times.
    ValueError: when it is called, if the prediction divides by alpha and alpha
      is 0 at t_max, or the batch of a conditional model has no condition.
  """
  weighted = _make_weighted(
      make_errors(model, times=times, times_of=times_of, null=null, drop=drop),
      weighting)

  def loss_fn(
      params: Params, key: Key, batch: Batch, context: Context
  ) -> tuple[Array, Metrics]:
    del context
    still = interior_stopped(params) if least_variance else params
    plain, errors = weighted(still, key, batch)
    losses = plain * errors.importance
    loss = batch_mean(batch, losses)
    if uncertainty is not None:
      u = uncertainty(params['weighting'],
                      jax.lax.stop_gradient(errors.log_snr))
      each = plain if balanced else jax.lax.stop_gradient(plain)
      total = batch_mean(
          batch, errors.importance * (each * jnp.exp(-u) + u))
      loss = total if balanced else loss + _gradient_alone(total)
    if least_variance:
      again, _ = weighted(interior_alone(params), key, batch)
      again = again * jax.lax.stop_gradient(errors.importance)
      # Over the squared mean, so that its size is that of the loss's logarithm.
      size = jax.lax.stop_gradient(batch_mean(batch, losses))
      loss += _gradient_alone(
          batch_mean(batch, jnp.square(again)) / jnp.square(size))
    return loss, _by_log_snr(losses, errors.log_snr, errors.mask)

  return loss_fn


def _gradient_alone(x: Array) -> Array:
  """0, with the gradient of x."""
  return x - jax.lax.stop_gradient(x)


def _make_weighted(
    errors_of: Callable[[Params, Key, Batch], Errors], weighting: Weighting
) -> Callable[[Params, Key, Batch], tuple[Array, Errors]]:
  """(params, key, batch) -> the loss of each example [B], and its errors."""

  def weighted(params: Params, key: Key, batch: Batch) -> tuple[Array, Errors]:
    errors = errors_of(params, key, batch)
    weight = weighting(errors.log_snr, errors.rate) * jnp.square(errors.slope)
    return weight * errors.target, errors

  return weighted


class Losses(NamedTuple):
  """The losses of examples, each at one noise level."""

  loss: Array | np.ndarray  # [N]
  log_snr: Array | np.ndarray  # [N]


def make_losses(
    model: Diffusion, *, weighting: Weighting, null: Null | None = None
) -> Callable[[Params, Key, Batch], Losses]:
  """(params, key, batch) -> the loss of each example, as of held-out data.

  That of `make_loss` at the times of the process, without dropout, and of a
  condition that is told to all: its mean is the loss.
  """
  weighted = _make_weighted(make_errors(model, null=null, train=False),
                            weighting)

  def losses(params: Params, key: Key, batch: Batch) -> Losses:
    loss, errors = weighted(params, key, batch)
    return Losses(loss, errors.log_snr)

  return losses


def evaluate(
    losses: Callable[[Params, Key, Batch], Losses], params: Params, key: Key,
    source: Source, batch_size: int
) -> Losses:
  """The losses of all examples of a source, always in the same order.

  Args:
    losses: of `make_losses`, compiled.
    params: of the model.
    key: folded with the number of each batch.
    source: N examples.
    batch_size: how many are looked at together.

  Returns:
    `Losses` of numpy arrays [N].
  """
  found, losses = [], parallel.on_every_device(losses)
  for number, batch in enumerate(pipeline.eval_batches(source, batch_size)):
    some = losses(params, jax.random.fold_in(key, number), batch)
    found.append([np.asarray(x)[batch['mask'] > 0] for x in some])
  return Losses(*map(np.concatenate, zip(*found)))


def summary(losses: Losses) -> dict[str, float]:
  """Their mean, and that of each log-SNR bin in which there is one."""
  loss = np.asarray(losses.loss, np.float64)
  bins = {name: loss[inside] for name, inside in _bins(np.asarray(
      losses.log_snr))}
  return {'loss': float(loss.mean()), **{
      name: float(values.mean()) for name, values in bins.items()
      if len(values)}}


def _by_log_snr(losses: Array, log_snr: Array, mask: Array) -> dict[str, Mean]:
  bins = {}
  for name, inside in _bins(log_snr):
    weight = jnp.where(inside, mask, 0.0)
    bins[name] = Mean(jnp.sum(weight * losses), jnp.sum(weight))
  return bins


def _bins(log_snr: Any) -> Iterator[tuple[str, Any]]:
  """(name, whether each is inside) of the log-SNR bins."""
  edges = (-np.inf, *LOG_SNR_EDGES, np.inf)
  for low, high in zip(edges[:-1], edges[1:]):
    # Names of scalars in a log may not hold brackets or commas.
    yield (f'loss_by_log_snr/{low:g}_to_{high:g}',
           (log_snr >= low) & (log_snr < high))
