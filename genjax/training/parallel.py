"""One step on many devices: two compilations with the same use.

Losses draw noise per example, from `fold_in(key, batch['index'])`, so the
same run on 1 or 8 devices, under `jax.jit` or `jax.pmap`, is the same run up
to the order of sums. `nn.Dropout` is the exception: under pmap each device
draws the same mask for its own shard, as micro-batches do for their parts, and
agrees with jit in law only.
"""

from typing import Any, Callable, Mapping, NamedTuple

import jax
from jax.experimental import multihost_utils
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import optax

from genjax.checks import check
from genjax.training.averages import Decay
from genjax.training.state import State
from genjax.training.step import make_step
from genjax.training.step import several
from genjax.training.step import Step
from genjax.training.work import Program
from genjax.types import Batch
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import PyTree
from genjax.types import Shape

_AXIS = 'data'


class Compiled(NamedTuple):
  """A step ready to run, and the way in and out of its devices.

  `put` copies (by way of numpy: `device_put` to many devices shares a buffer
  with its source), so what the caller holds stays alive; `step` donates its
  state, which is dead afterwards, and takes the batch of this process as numpy
  arrays, not to be written to again; `place` sends such a batch to the devices
  ahead of its step, where that takes time, and returns what `step` takes as
  well; `get` returns numpy copies, which outlive later steps. `program`
  compiles the step for such arguments, without running it; under jit the first
  call of `step` then has nothing left to compile.
  """

  put: Callable[[State], State]
  step: Step
  get: Callable[[State], State]
  place: Callable[[Batch], Batch]
  program: Callable[[State, Key, Batch], Program]


def make_mesh(num_devices: int | None = None) -> Mesh:
  """A mesh of one axis, 'data', over the first `num_devices` (default all).

  Raises:
    ValueError: if there are not that many devices.
  """
  devices = jax.devices()
  if num_devices is None:
    num_devices = len(devices)
  check(1 <= num_devices <= len(devices), 'make_mesh',
        f'num_devices must be in [1, {len(devices)}]', num_devices)
  return jax.make_mesh((num_devices,), (_AXIS,), axis_types=(AxisType.Auto,),
                       devices=devices[:num_devices])


def compile_step(step: Step, mesh: Mesh, *, fsdp: bool = False) -> Compiled:
  """Compiles a step by `jax.jit`, the batch sharded over the mesh.

  Args:
    step: of `make_step` without an axis name.
    mesh: of `make_mesh`.
    fsdp: whether to split every array of the state along its largest axis
      that the devices divide, rather than replicate it: less memory, more
      communication (ZeRO stage 3, arXiv:1910.02054).

  Returns:
    A `Compiled`; its step raises ValueError if the devices do not divide the
    batch.
  """
  def sharding(x):
    spec = _split(np.shape(x), mesh.size) if fsdp else PartitionSpec()
    return NamedSharding(mesh, spec)

  batch_sharding = NamedSharding(mesh, PartitionSpec(_AXIS))

  @jax.jit(donate_argnums=0, in_shardings=(None, None, batch_sharding))
  def run(state, key, batch):
    state, metrics = step(state, key, batch)
    # Left to itself the compiler may return the state in another layout,
    # which costs a second compilation and the donation.
    state = jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, sharding(x)), state)
    return state, metrics

  on_cpu = mesh.devices.flat[0].platform == 'cpu'

  def place_leaf(x):
    if isinstance(x, jax.Array):
      return x
    x = np.asarray(x)
    if jax.process_count() > 1:
      return jax.make_array_from_process_local_data(batch_sharding, x)
    # On a CPU jit itself places it, four times faster.
    return x if on_cpu else jax.device_put(x, batch_sharding)

  def place(batch):
    _check_divides('compile_step', batch, mesh)
    return jax.tree.map(place_leaf, batch)

  def global_step(state, key, batch):
    return run(state, key, place(batch))

  def program(state, key, batch):
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(
        np.shape(x), np.asarray(x).dtype, sharding=sharding(x)), state)
    traced = run.trace(state, key, place(batch))
    return Program(traced.lower().compile(), traced.jaxpr.jaxpr)

  return Compiled(
      put=lambda state: jax.tree.map(
          lambda x: jax.device_put(np.array(x), sharding(x)), state),
      step=_paced(global_step, mesh),
      get=lambda state: jax.tree.map(_to_host, state),
      place=place,
      program=program,
  )


def pmap_step(
    loss_fn: LossFn,
    tx: optax.GradientTransformation,
    mesh: Mesh,
    *,
    averages: Mapping[str, Decay],
    micro_batches: int = 1,
    steps_per_call: int = 1,
) -> Compiled:
  """Compiles the same step by `jax.pmap`, the state replicated.

  Gradients are averaged by hand over the mapped axis, where `compile_step`
  leaves that to the compiler.

  Args:
    loss_fn: see `make_step`; it sees the shard of one device.
    tx: the optimizer.
    mesh: of `make_mesh`.
    averages: see `make_step`.
    micro_batches: see `make_step`; of the shard of each device.
    steps_per_call: see `several`.

  Returns:
    A `Compiled`; its step raises ValueError if the devices do not divide the
    batch.
  """
  step = several(make_step(
      loss_fn, tx, averages=averages, micro_batches=micro_batches,
      axis_name=_AXIS), steps_per_call)
  run = jax.pmap(
      step, axis_name=_AXIS, in_axes=(None, None, 0), out_axes=None,
      donate_argnums=0, devices=list(mesh.devices.flat))
  replicated = NamedSharding(mesh, PartitionSpec())

  def split(x):
    x = np.asarray(x)
    return x.reshape(mesh.local_mesh.size, -1, *x.shape[1:])

  def mapped_step(state, key, batch):
    _check_divides('pmap_step', batch, mesh)
    return run(state, key, jax.tree.map(split, batch))

  def program(state, key, batch):
    _check_divides('pmap_step', batch, mesh)
    shards = jax.tree.map(split, batch)
    one = jax.tree.map(lambda x: x[0], shards)
    traced = jax.make_jaxpr(step, axis_env=[(_AXIS, mesh.size)])(
        state, key, one)
    return Program(run.lower(state, key, shards).compile(), traced.jaxpr)

  return Compiled(
      put=lambda state: jax.tree.map(
          lambda x: jax.device_put(np.array(x), replicated), state),
      step=_paced(mapped_step, mesh),
      get=lambda state: jax.tree.map(_to_host, state),
      place=lambda batch: batch,
      program=program,
  )


def split_batch(batch: PyTree, mesh: Mesh) -> PyTree:
  """Arrays [B, ...] laid over the devices, if these divide B; else as is."""
  sharding = NamedSharding(mesh, PartitionSpec(_AXIS))
  return jax.tree.map(
      lambda x: x if len(x) % mesh.size else jax.device_put(x, sharding), batch)


def _split(shape: Shape, parts: int) -> PartitionSpec:
  """A spec that splits the largest axis which `parts` divides, if any."""
  axes = [i for i, size in enumerate(shape) if size and size % parts == 0]
  if not axes:
    return PartitionSpec()
  largest = max(axes, key=lambda i: shape[i])
  return PartitionSpec(*(None,) * largest, _AXIS)


def _check_divides(where: str, batch: Batch, mesh: Mesh) -> None:
  """Raises ValueError unless the local devices divide the local batch."""
  size = len(jax.tree.leaves(batch)[0])
  devices = mesh.local_mesh.size
  check(size > 0 and size % devices == 0, where,
        f'batch size must be a multiple of the {devices} devices', size)


def _paced(step: Step, mesh: Mesh) -> Step:
  """The step, waiting for its end where steps in flight are a danger.

  Virtual CPU devices share one pool of threads: with several steps in flight
  a collective can wait for ever for a device that no thread is left to run.
  """
  if mesh.size == 1 or mesh.devices.flat[0].platform != 'cpu':
    return step
  return lambda *args: jax.block_until_ready(step(*args))


def _to_host(x: Any) -> np.ndarray:
  """A private numpy copy: a view would be overwritten once `x` is donated."""
  if not (x.is_fully_addressable or x.is_fully_replicated):
    x = multihost_utils.process_allgather(x, tiled=True)
  return np.array(x)
