"""One step of stochastic gradient descent, said once for every compilation."""

from typing import Any, Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.numerics import widen
from genjax.training.state import State
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Mean

Step = Callable[[State, Key, Batch], tuple[State, dict[str, Mean]]]

_OWN_METRICS = ('loss', 'grad_norm', 'skipped')


def ema_decay_at(updates: Array, ema_decay: float) -> Array:
  """Decay of the parameter average at its n-th update, n = 1, 2, ...

  min(ema_decay, (1 + n) / (10 + n)): the ramp of TensorFlow's
  `ExponentialMovingAverage(num_updates)` and of score_sde (arXiv:2011.13456),
  by which early averages forget the initial parameters.
  """
  return jnp.minimum(ema_decay, (1.0 + updates) / (10.0 + updates))


def make_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    *,
    ema_decay: float,
    axis_name: str | None = None,
) -> Step:
  """A training step: gradient, update, parameter average, metrics.

  An update whose loss or gradient norm is not finite (judged after the mean
  over devices, so that all of them agree) is left out: params, opt_state and
  ema stay as they are, `skipped` counts it, and `step` advances. A norm that
  overflows counts as not finite. Whatever the dtype of params and loss, the
  norm, the optimizer, the average and the metrics are float32 or wider.

  Args:
    loss_fn: (params, key, batch) -> (scalar loss, metrics). Metrics are
      scalars or `Mean`s of scalars under other names than 'loss',
      'grad_norm' and 'skipped'.
    tx: the optimizer.
    ema_decay: the largest decay of the parameter average, see `ema_decay_at`.
    axis_name: the mapped axis over which to average, under `jax.pmap`.

  Returns:
    step(state, key, batch) -> (state, metrics). `key` is the root key of the
    run, the same at every step: it is folded with `state.step` here. Metrics
    are `Mean`s: 'loss', 'grad_norm' (global norm before clipping), 'skipped'
    (its mean is the share of steps left out) and those of `loss_fn`. Those of
    a step left out, but 'skipped', are Mean(0, 0) and so weigh nothing.

  Raises:
    ValueError: if ema_decay is not in [0, 1], or, when traced, if a metric is
      not a scalar or has a name used here.
  """
  check_in_range('make_step', 'ema_decay', ema_decay, 0.0, 1.0)

  def step(state, key, batch):
    key = jax.random.fold_in(key, state.step)
    (loss, extra), grads = jax.value_and_grad(loss_fn, has_aux=True)(
        state.params, key, batch)
    extra = _as_means(extra, axis_name)
    loss, grads = jax.tree.map(widen, (loss, grads))
    if axis_name is not None:
      loss, grads = jax.lax.pmean((loss, grads), axis_name)
    grad_norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)

    updates, opt_state = tx.update(
        grads, state.opt_state, jax.tree.map(widen, state.params))
    params = optax.apply_updates(state.params, updates)
    decay = ema_decay_at(state.step - state.skipped + 1, ema_decay)
    ema = optax.incremental_update(
        jax.tree.map(widen, params), state.ema, 1.0 - decay)
    params, opt_state, ema = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, ema),
        (state.params, state.opt_state, state.ema))

    metrics = {
        'loss': Mean(loss, jnp.ones(())),
        'grad_norm': Mean(grad_norm, jnp.ones(())),
        **extra,
    }
    # where, not a product: 0 * nan is nan.
    metrics = jax.tree.map(lambda x: jnp.where(finite, x, 0.0), metrics)
    metrics['skipped'] = Mean(jnp.where(finite, 0.0, 1.0), jnp.ones(()))
    return State(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        ema=ema,
        skipped=state.skipped + jnp.where(finite, 0, 1),
    ), metrics

  return step


def _as_means(
    metrics: Mapping[str, Any], axis_name: str | None
) -> dict[str, Mean]:
  """Metrics as `Mean`s over all devices: a bare scalar becomes Mean(x, 1)."""
  means = {}
  for name, value in metrics.items():
    check(name not in _OWN_METRICS, 'make_step',
          f'metrics of loss_fn must not be named {", ".join(_OWN_METRICS)}',
          repr(name))
    bare = not isinstance(value, Mean)
    total, count = (jnp.asarray(x, jnp.float32)
                    for x in ((value, 1.0) if bare else value))
    check(total.ndim == 0 and count.ndim == 0, 'make_step',
          f'metric {name!r} must be a scalar or a Mean of scalars',
          f'shapes {total.shape} and {count.shape}')
    if axis_name is not None:
      # Sums add up over devices, and bare scalars, of equal shards, average:
      # both then equal what one device would report for the whole batch.
      reduce = jax.lax.pmean if bare else jax.lax.psum
      total, count = reduce((total, count), axis_name)
    means[name] = Mean(total, count)
  return means
