"""One step on many devices: two compilations with the same use.

Losses draw noise per example, from `fold_in(key, batch['index'])`, so the
same run on 1 or 8 devices, of 1 or 4 processes, under `jax.jit` or `jax.pmap`,
is the same run up to the order of sums. `nn.Dropout` is the exception: under
pmap each device draws the same mask for its own shard, as micro-batches do for
their parts, and agrees with jit in law only.

Devices form a mesh of two axes: rows of the batch are split over 'data', and
matrices that a rule of partitioning names over 'model'.
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

from genjax import machine
from genjax.checks import check
from genjax.checks import check_positive
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

_DATA, _MODEL = 'data', 'model'

# (path of a leaf, such as ".params['dense_1']['kernel']", its shape) -> for
# each of its axes whether it is split over 'model'; () splits none.
Partition = Callable[[str, Shape], tuple[bool, ...]]


class Compiled(NamedTuple):
  """A step ready to run, and the way in and out of its devices.

  `put` copies (by way of numpy: an array on many devices may share a buffer
  with its source), so what the caller holds stays alive; `step` donates its
  state, which is dead afterwards, and takes those rows of the batch that are
  this process's (see `local_rows`) as numpy arrays, not to be written to again;
  `place` sends such a batch to the devices ahead of its step, where that takes
  time, and returns what `step` takes as well; `get` returns numpy copies, which
  outlive later steps. `program` compiles the step for such arguments, without
  running it; under jit the first call of `step` then has nothing left to
  compile.
  """

  put: Callable[[State], State]
  step: Step
  get: Callable[[State], State]
  place: Callable[[Batch], Batch]
  program: Callable[[State, Key, Batch], Program]


def make_mesh(num_devices: int | None = None, model: int = 1) -> Mesh:
  """A mesh of axes 'data' and 'model' over the first devices of all processes.

  Args:
    num_devices: how many; None takes all, as several processes must.
    model: size of the axis 'model'.

  Raises:
    ValueError: if there are not that many devices, or they cannot be split so.
  """
  devices = machine.devices()
  if num_devices is None:
    num_devices = len(devices)
  check(1 <= num_devices <= len(devices), 'make_mesh',
        f'num_devices must be in [1, {len(devices)}]', num_devices)
  check(num_devices == len(devices) or jax.process_count() == 1, 'make_mesh',
        f'num_devices must be all {len(devices)} where several processes '
        'train', num_devices)
  check_positive('make_mesh', 'model', model)
  check(num_devices % model == 0, 'make_mesh',
        f'model must divide the {num_devices} devices', model)
  return jax.make_mesh((num_devices // model, model), (_DATA, _MODEL),
                       axis_types=(AxisType.Auto, AxisType.Auto),
                       devices=devices[:num_devices])


def compile_step(
    step: Step, mesh: Mesh, *, fsdp: bool = False,
    partition: Partition | None = None
) -> Compiled:
  """Compiles a step by `jax.jit`, the batch sharded over the mesh.

  Args:
    step: of `make_step` without an axis name.
    mesh: of `make_mesh`.
    fsdp: whether to split every array of the state along its largest axis
      that the devices of 'data' divide, rather than replicate it: less memory,
      more communication (ZeRO stage 3, arXiv:1910.02054).
    partition: which axes of an array of the state are split over 'model', as
      in tensor parallelism (arXiv:1909.08053); where the axis 'model' does not
      divide one, it is left whole. None splits nothing.

  Returns:
    A `Compiled`; its step raises ValueError if the devices do not divide the
    batch.
  """
  def shardings(state):
    return jax.tree_util.tree_map_with_path(
        lambda path, x: NamedSharding(mesh, _layout(
            jax.tree_util.keystr(path), np.shape(x), mesh, fsdp, partition)),
        state)

  batch_sharding = NamedSharding(mesh, PartitionSpec(_DATA))

  @jax.jit(donate_argnums=0, in_shardings=(None, None, batch_sharding),
           compiler_options=compiler_options(mesh))
  def run(state, key, batch):
    state, metrics = step(state, key, batch)
    # Left to itself the compiler may return the state in another layout,
    # which costs a second compilation and the donation.
    state = jax.tree.map(jax.lax.with_sharding_constraint, state,
                         shardings(state))
    return state, metrics

  def place(batch):
    _check_divides('compile_step', batch, mesh)
    return jax.tree.map(lambda x: _place(x, mesh), batch)

  def global_step(state, key, batch):
    return run(state, key, place(batch))

  def program(state, key, batch):
    state = jax.tree.map(lambda x, sharding: jax.ShapeDtypeStruct(
        np.shape(x), x.dtype, sharding=sharding), state, shardings(state))
    traced = run.trace(state, key, place(batch))
    return Program(traced.lower().compile(), traced.jaxpr.jaxpr)

  return Compiled(
      put=lambda state: jax.tree.map(_from_host, state, shardings(state)),
      step=_paced(global_step, mesh),
      get=lambda state: jax.tree.map(to_host, state),
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
    mesh: of `make_mesh`, its axis 'model' of size 1.
    averages: see `make_step`.
    micro_batches: see `make_step`; of the shard of each device.
    steps_per_call: see `several`.

  Returns:
    A `Compiled`; its step raises ValueError if the devices do not divide the
    batch.

  Raises:
    ValueError: the axis 'model' is larger.
  """
  check(mesh.shape[_MODEL] == 1, 'pmap_step',
        "the axis 'model' of mesh must be of size 1", mesh.shape[_MODEL])
  step = several(make_step(
      loss_fn, tx, averages=averages, micro_batches=micro_batches,
      axis_name=_DATA), steps_per_call)
  run = jax.pmap(
      step, axis_name=_DATA, in_axes=(None, None, 0), out_axes=None,
      donate_argnums=0, devices=list(mesh.devices.flat))
  # The layout in which pmap gives the state back, and so takes it.
  replicated = NamedSharding(Mesh(
      mesh.local_mesh.devices.flatten(), (_DATA,), (AxisType.Auto,)),
                             PartitionSpec())

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
    # Of several processes a state that is laid out anew would be donated here.
    state = jax.tree.map(np.asarray, state)
    traced = jax.make_jaxpr(step, axis_env=[(_DATA, mesh.size)])(
        state, key, one)
    return Program(run.lower(state, key, shards).compile(), traced.jaxpr,
                   mesh.size)

  return Compiled(
      put=lambda state: jax.tree.map(
          lambda x: _from_host(x, replicated), state),
      step=_paced(mapped_step, mesh),
      get=lambda state: jax.tree.map(to_host, state),
      place=lambda batch: batch,
      program=program,
  )


def compiler_options(mesh: Mesh) -> dict[str, Any] | None:
  """How a step is compiled for these devices, in words of XLA.

  On a CPU the first of LLVM's levels makes as fast a program as the highest, in
  four fifths of the time. Who wants no optimisation has none.
  """
  if (mesh.devices.flat[0].platform != 'cpu'
      or jax.config.read('jax_disable_most_optimizations')):
    return None
  return {'xla_backend_optimization_level': 1}


def local_rows(mesh: Mesh, size: int) -> np.ndarray:
  """The rows, rising, of a batch of `size` rows that this process holds.

  Raises:
    ValueError: the axis 'data' does not divide it.
  """
  shards = mesh.shape[_DATA]
  check(size > 0 and size % shards == 0, 'local_rows',
        f'batch size must be a multiple of the {shards} devices', size)
  slices: Any = NamedSharding(mesh, PartitionSpec(
      _DATA)).addressable_devices_indices_map((size,)).values()
  return np.unique(np.concatenate([np.arange(size)[s[0]] for s in slices]))


def on_every_device(
    function: Callable[..., PyTree], *, axis: int = 0
) -> Callable[..., PyTree]:
  """A function of (params, key, examples) whose examples all devices share.

  Args:
    function: (params, key, examples [B, ...]) -> arrays of B examples, jitted,
      of which each depends on its own example alone. Where there are several
      processes, each calls it with the same arguments.
    axis: that of the examples in what it returns.

  Returns:
    The same function. Where the devices do not divide B it computes the last
    example more than once, and returns numpy arrays, as it does to each of
    several processes.
  """

  def shared(params: PyTree, key: Key | None, examples: PyTree) -> PyTree:
    mesh, leaves = make_mesh(), jax.tree.leaves(examples)
    if mesh.size == 1 or any(isinstance(x, jax.core.Tracer) for x in leaves):
      return function(params, key, examples)
    sharding, size = NamedSharding(mesh, PartitionSpec(_DATA)), len(leaves[0])
    rows = np.minimum(np.arange(-(-size // mesh.size) * mesh.size), size - 1)
    found = function(params, key, jax.tree.map(
        lambda x: _from_host(np.asarray(x)[rows], sharding), examples))
    if jax.process_count() > 1 or len(rows) > size:
      found = jax.tree.map(to_host, found)
    return found if len(rows) == size else jax.tree.map(
        lambda x: x[(slice(None),) * axis + (slice(size),)], found)

  return shared


def together(name: str) -> None:
  """Returns once every process is there, at the call of the same name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def same_as_first(value: PyTree) -> PyTree:
  """The arrays or numbers that the first process holds, bit for bit."""
  if jax.process_count() == 1:
    return value

  def received(x: Any) -> np.ndarray:
    x = np.asarray(x)  # as bytes: jax would make 32 bits of 64
    bits = multihost_utils.broadcast_one_to_all(
        np.frombuffer(x.tobytes(), np.uint8))
    return np.frombuffer(np.asarray(bits).tobytes(), x.dtype).reshape(x.shape)

  return jax.tree.map(received, value)


def to_host(x: jax.Array | np.ndarray) -> np.ndarray:
  """A private numpy copy: a view would be overwritten once `x` is donated.

  Where other processes hold parts of `x`, all of them must ask for it.
  """
  if isinstance(x, jax.Array) and not (
      x.is_fully_addressable or x.is_fully_replicated):
    x = multihost_utils.process_allgather(x, tiled=True)
  return np.array(x)


def _layout(
    path: str, shape: Shape, mesh: Mesh, fsdp: bool, partition: Partition | None
) -> PartitionSpec:
  """How an array of the state lies on the mesh."""
  data, model = mesh.shape[_DATA], mesh.shape[_MODEL]
  split = partition(path, shape) if partition and model > 1 else ()
  axes: list[str | None] = [
      _MODEL if i < len(split) and split[i] and size % model == 0 else None
      for i, size in enumerate(shape)]
  free = [i for i, size in enumerate(shape)
          if fsdp and axes[i] is None and size and size % data == 0]
  if free:
    axes[max(free, key=lambda i: shape[i])] = _DATA
  while axes and axes[-1] is None:
    axes.pop()
  return PartitionSpec(*axes)


def _from_host(x: Any, sharding: NamedSharding) -> jax.Array:
  """An array that every process holds whole, laid out over all devices."""
  x = np.asarray(x)
  return jax.make_array_from_callback(
      x.shape, sharding, lambda index: np.array(x[index]))


def _place(x: Any, mesh: Mesh) -> Any:
  """The global array of the rows that each process holds."""
  if isinstance(x, jax.Array):
    return x
  x, sharding = np.asarray(x), NamedSharding(mesh, PartitionSpec(_DATA))
  if not machine.is_at_hand():
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
  if jax.process_count() == 1:
    # On a CPU jit itself places it, four times faster.
    return x if mesh.devices.flat[0].platform == 'cpu' else jax.device_put(
        x, sharding)
  shards = mesh.shape[_DATA]
  size = len(x) * shards // len(local_rows(mesh, shards))
  rows = local_rows(mesh, size)

  def part(index: Any) -> np.ndarray:
    first = np.searchsorted(rows, index[0].start or 0)
    return x[first:first + size // shards]

  return jax.make_array_from_callback((size, *x.shape[1:]), sharding, part)


def _check_divides(where: str, batch: Batch, mesh: Mesh) -> None:
  """Raises ValueError unless the devices divide the rows of this process."""
  size = len(jax.tree.leaves(batch)[0])
  devices = len(local_rows(mesh, mesh.shape[_DATA]))
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
