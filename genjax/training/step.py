"""One step of stochastic gradient descent, said once for every compilation."""

import functools
from typing import Any, Mapping, NamedTuple, Protocol, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import machine
from genjax.checks import check
from genjax.checks import check_positive
from genjax.numerics import scaled
from genjax.numerics import widen
from genjax.training.averages import Decay
from genjax.training.state import State
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Context
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Mean
from genjax.types import Params
from genjax.types import PyTree

_OWN_METRICS = ('loss', 'grad_norm', 'skipped')


class Step(Protocol):
  """One update: the state before it, the run's root key, and a batch."""

  def __call__(
      self, state: State, key: Key, batch: Batch
  ) -> tuple[State, dict[str, Mean]]:
    ...


def make_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    *,
    averages: Mapping[str, Decay],
    micro_batches: int = 1,
    axis_name: str | None = None,
) -> Step:
  """A training step: gradient, update, averages of the params, metrics.

  An update whose loss or gradient norm is not finite (judged after the mean
  over devices, so that all of them agree) is left out: params, opt_state and
  averages stay as they are, `skipped` counts it, and `step` advances. A norm
  that overflows counts as not finite. Whatever the dtype of params and loss,
  the norm, the optimizer, the averages and the metrics are float32 or wider.

  Args:
    loss_fn: (params, key, batch, context) -> (scalar loss, metrics). Metrics
      are scalars or `Mean`s of scalars under other names than 'loss',
      'grad_norm' and 'skipped'.
    tx: the optimizer.
    averages: the decay of each average, by the names of the state's.
    micro_batches: k parts of a batch [B, ...] whose gradients are taken one
      after the other, which needs the memory of one (but on a CPU, where it
      saves none), and averaged: the same update. Part j holds rows j, j + k,
      ...; each weighs as its mask, or as its size where there is none. What
      couples examples (mixup) sees a part.
    axis_name: the mapped axis over which to average, under `jax.pmap`; shards
      weigh as parts do.

  Returns:
    step(state, key, batch) -> (state, metrics). `key` is the root key of the
    run, the same at every step: it is folded with `state.step` here. Metrics
    are `Mean`s: 'loss', 'grad_norm' (global norm before clipping), 'skipped'
    (its mean is the share of steps left out) and those of `loss_fn`. Those of
    a step left out, but 'skipped', are Mean(0, 0) and so weigh nothing.

  Raises:
    ValueError: if micro_batches is not positive, or, when traced, does not
      divide the batch; if the state has other averages; if a metric is not a
      scalar or has a name used here.
  """
  check_positive('make_step', 'micro_batches', micro_batches)

  def step(state, key, batch):
    check(state.averages.keys() == averages.keys(), 'make_step',
          f'averages of the state must be {sorted(averages)}',
          sorted(state.averages))
    context = Context(state.step, state.averages, state.frozen)
    loss, extra, grads = _gradient(
        loss_fn, micro_batches, axis_name, state.params,
        jax.random.fold_in(key, state.step), batch, context)
    grad_norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)

    updates, opt_state = tx.update(
        grads, state.opt_state, jax.tree.map(widen, state.params))
    params = optax.apply_updates(state.params, updates)
    wide, count = jax.tree.map(widen, params), state.step - state.skipped + 1
    moved = {name: optax.incremental_update(
        wide, state.averages[name], 1.0 - decay(count))
             for name, decay in averages.items()}
    params, opt_state, moved = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, moved),
        (state.params, state.opt_state, state.averages))

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
        averages=moved,
        frozen=state.frozen,
        skipped=state.skipped + jnp.where(finite, 0, 1),
    ), metrics

  return step


def several(step: Step, count: int) -> Step:
  """A step that is `count` of them, one after the other, of one batch.

  It spares an accelerator the time that the host takes to hand it a step, about
  a tenth of a millisecond, which is long beside a step of a small network.

  Args:
    step: of `make_step`.
    count: how many steps it takes.

  Returns:
    step(state, key, batch) of a batch of `joined`. Its metrics are the sums
    over the steps.

  Raises:
    ValueError: when traced, if `count` does not divide the batch.
  """
  if count == 1:
    return step

  def call(state, key, batch):
    batches = _rows_in_turn(batch, count)
    if machine.platform() == 'cpu':  # not a scan, as of micro-batches
      metrics = []
      for j in range(count):
        state, found = step(state, key, jax.tree.map(
            lambda x, j=j: x[:, j], batches))
        metrics.append(found)
      return state, jax.tree.map(lambda *x: jnp.sum(jnp.stack(x)), *metrics)
    state, found = jax.lax.scan(
        lambda state, batch: step(state, key, batch), state,
        jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), batches))
    return state, jax.tree.map(functools.partial(jnp.sum, axis=0), found)

  return call


def joined(batches: Sequence[Batch]) -> Batch:
  """Batches of one size as one: their first rows, their second rows, ...

  So each device has its share of every one of them.
  """
  return jax.tree.map(
      lambda *x: np.stack(x, axis=1).reshape(-1, *x[0].shape[1:]), *batches)


def _rows_in_turn(batch: Batch, count: int) -> Batch:
  """[B, ...] as [B / count, count, ...]: part j holds rows j, j + count, ..."""
  size = _size(batch)
  check(size % count == 0, 'make_step',
        f'micro-batches or steps must divide the batch of {size}', count)
  return jax.tree.map(
      lambda x: x.reshape(size // count, count, *x.shape[1:]), batch)


class _Part(NamedTuple):
  """Sums over examples, so that those of micro-batches and shards add up."""

  weight: Array  # [] float32
  scalars: dict[str, Array]  # loss and bare metrics, each times the weight
  grads: PyTree  # times the weight
  means: dict[str, Mean]


def _gradient(
    loss_fn: LossFn, micro_batches: int, axis_name: str | None,
    params: Params, key: Key, batch: Batch, context: Context
) -> tuple[Array, dict[str, Mean], PyTree]:
  """(loss, metrics, gradient) of a batch, in float32 or wider."""

  def part_of(batch: Batch) -> _Part:
    (loss, metrics), grads = jax.value_and_grad(loss_fn, has_aux=True)(
        params, key, batch, context)
    loss, grads = jax.tree.map(widen, (loss, grads))
    bare, means = _checked(metrics)
    if 'mask' in batch:
      weight = jnp.sum(widen(batch['mask']))
    else:
      weight = jnp.float32(_size(batch))
    return _Part(weight, {**bare, 'loss': loss}, grads, means)

  if micro_batches == 1 and axis_name is None:
    part = part_of(batch)
  else:
    part = _sum_of_parts(part_of, batch, micro_batches)
    if axis_name is not None:
      part = jax.lax.psum(part, axis_name)
    part = part._replace(scalars=_over(part.scalars, part.weight),
                         grads=_over(part.grads, part.weight))
  loss = part.scalars.pop('loss')
  bare = {name: Mean(x, jnp.ones(())) for name, x in part.scalars.items()}
  return loss, {**bare, **part.means}, part.grads


def _sum_of_parts(part_of: Any, batch: Batch, count: int) -> _Part:
  """The sum of the `_Part`s of `count` micro-batches."""
  parts = _rows_in_turn(batch, count)

  def one(batch: Batch) -> _Part:
    part = part_of(batch)
    # What no example weighs may be 0 / 0.
    weigh = functools.partial(jax.tree.map, functools.partial(
        scaled, part.weight))
    return part._replace(scalars=weigh(part.scalars), grads=weigh(part.grads))

  def add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)

  if count == 1 or machine.platform() == 'cpu':
    # Not a scan: a CPU takes 33 times as long for convolutions in one.
    total = one(jax.tree.map(lambda x: x[:, 0], parts))
    for j in range(1, count):
      total = add(total, one(jax.tree.map(lambda x, j=j: x[:, j], parts)))
    return total
  parts = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), parts)
  shapes = jax.eval_shape(one, jax.tree.map(lambda x: x[0], parts))
  zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return jax.lax.scan(lambda total, batch: (add(total, one(batch)), None),
                      zero, parts)[0]


def _over(sums: PyTree, weight: Array) -> PyTree:
  return jax.tree.map(lambda x: x / weight, sums)


def _size(batch: Batch) -> int:
  return len(jax.tree.leaves(batch)[0])


def _checked(
    metrics: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Mean]]:
  """Bare scalars and `Mean`s among the metrics of a loss, as float32."""
  bare: dict[str, Array] = {}
  means: dict[str, Mean] = {}
  for name, value in metrics.items():
    check(name not in _OWN_METRICS, 'make_step',
          f'metrics of loss_fn must not be named {", ".join(_OWN_METRICS)}',
          repr(name))
    arrays = [jnp.asarray(x, jnp.float32)
              for x in (value if isinstance(value, Mean) else [value])]
    check(all(x.ndim == 0 for x in arrays), 'make_step',
          f'metric {name!r} must be a scalar or a Mean of scalars',
          f'shapes {", ".join(str(x.shape) for x in arrays)}')
    if isinstance(value, Mean):
      means[name] = Mean(*arrays)
    else:
      bare[name] = arrays[0]
  return bare, means
