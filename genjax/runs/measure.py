"""What a training will take, memory and time, before it begins."""

import os
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax import machine
from genjax.checks import check
from genjax.data import pipeline
from genjax.runs import keys
from genjax.runs.open import weight_shapes
from genjax.runs.prepare import batches_from
from genjax.runs.prepare import data_parts
from genjax.runs.prepare import first_state
from genjax.runs.prepare import mesh_of
from genjax.runs.prepare import prepare
from genjax.runs.prepare import rows_of
from genjax.runs.prepare import state_shapes
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Task
from genjax.runs.task import TrainingSettings
from genjax.training import parallel
from genjax.training.clock import in_words
from genjax.training.state import State
from genjax.training.work import products
from genjax.training.work import Program
from genjax.training.work import Work
from genjax.training.work import work_of
from genjax.types import Context
from genjax.types import Key
from genjax.types import Source

_TIMED = 4  # steps by which the speed of a run is told
_SHARE = 0.9  # of the time, for steps: the rest is for checkpoints and hooks
_GIB = 2**30
# Of the bytes of a device and those of a batch: where there are more of the
# former, a step is not estimated before it is compiled.
_SMALL = 2**16
_PASSING = ('remat2', 'cond', 'while')  # whose products are not kept


class Cost(NamedTuple):
  """What the steps of a run take."""

  memory: int  # bytes on each device
  room: int  # bytes that a device has
  compiling: float  # seconds
  step: float  # seconds
  spent: float  # seconds, for finding out

  def seconds(self, steps: int) -> float:
    """What a run of so many steps takes, with its checkpoints and hooks."""
    return self.compiling + steps * self.step / _SHARE

  def described(self, steps: int) -> str:
    """Memory and time of a run of so many steps, in one line."""
    return (f'a step needs {self.memory / _GIB:.2g} of {self.room / _GIB:.3g} '
            f'GiB, {steps} steps take about '
            f'{in_words(self.seconds(steps))}')


def measure(task: Task, settings: Any, source: Source) -> Cost:
  """What a run takes, by its first few steps; nothing is kept of them.

  Raises:
    ValueError: settings that do not fit each other, the devices or their
      memory.
  """
  begun = time.perf_counter()
  model, objective, compiled = prepare(task, settings)
  check_batch(settings, model, objective, source)
  key = keys.key(settings.seed, 'training', *objective.stream)
  state = first_state(keys.key(settings.seed, 'init', *objective.stream),
                      settings, model, objective, source, settings.seed)
  memory, _ = check_memory(compiled, state, key, settings, objective, source)
  state = compiled.put(state)
  batches = batches_from(settings, objective, source, settings.seed, 0)
  state, _ = compiled.step(state, key, next(batches))
  jax.block_until_ready(state.step)
  compiling, times = time.perf_counter() - begun, []
  for _ in range(_TIMED):
    before = time.perf_counter()
    state, _ = compiled.step(state, key, next(batches))
    jax.block_until_ready(state.step)
    times.append(time.perf_counter() - before)
  cost = Cost(memory, room(), compiling,
              float(np.median(times)) / settings.steps_per_call,
              time.perf_counter() - begun)
  # What follows from it must be the same in all processes.
  return Cost(*(kind(number) for kind, number in zip(
      (int, int, float, float, float), parallel.same_as_first(cost))))


def steps_within(cost: Cost, seconds: float) -> int:
  """How many steps a run can take in a time.

  Counted are two compilations, the one of `measure` and the one of training,
  whose schedule has another length; a tenth is left for checkpoints and hooks.

  Raises:
    ValueError: a time in which there is none for ten steps.
  """
  spent = cost.spent + cost.compiling
  steps = int(_SHARE * (seconds - spent) / cost.step)
  least = (spent + 10 * cost.step / _SHARE) / 60
  check(steps >= 10, 'minutes', f'must be {1.1 * least:.2g} or more: compiling '
        f'takes {spent / 60:.2g} of them', f'{seconds / 60:.2g}')
  return steps


def room() -> int:
  """Bytes that a device has, or its share of what this machine has."""
  device = jax.local_devices()[0]
  limit = (device.memory_stats() or {}).get('bytes_limit')
  if limit is not None:
    return int(limit)
  machine = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  try:  # what a container may use is less than what there is
    with open('/sys/fs/cgroup/memory.max') as file:
      machine = min(machine, int(file.read()))
  except (OSError, ValueError):  # there is none, or the word 'max'
    pass
  return machine // jax.local_device_count()


def check_batch(
    settings: TrainingSettings, model: Model, objective: Objective,
    source: Source
) -> None:
  """Refuses what cannot fit, before anything of its size is made.

  Raises:
    ValueError: see `state_memory` and `least_memory`; the message says what is
      too many.
  """
  size, there = settings.batch_size, room()
  held = state_memory(settings, model, objective)
  check(held <= there, 'batch_size', 'is too large, and so is any: the network '
        'must be smaller', f'{size}: parameters, averages and what the '
        f'optimizer keeps take {held / _GIB:.3g} GiB where there are '
        f'{there / _GIB:.3g}')
  least = held + least_memory(settings, model, objective, source)
  if least > there:
    most = size * (there - held) // (least - held)
    _refuse(size, f'must be at most {most} here, or less' if most else '',
            f'{least / _GIB:.3g} GiB or more', there)


def state_memory(
    settings: TrainingSettings, model: Model, objective: Objective
) -> int:
  """Bytes of the training state and of one gradient, on each device.

  Where arrays are split over devices, an even share. On a CPU the state before
  the first step stays in memory beside that of training. Nothing is computed.
  """
  state = state_shapes(settings, model, objective)._replace(frozen={})
  kept = [*[state] * (1 + (machine.platform() == 'cpu')), state.params]
  split = settings.parallel == 'fsdp' or settings.tensor_parallel > 1
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(kept)) // (
      mesh_of(settings, objective).size if split else 1)


def least_memory(
    settings: TrainingSettings, model: Model, objective: Objective,
    source: Source
) -> int:
  """Bytes that a step surely needs beside the state; nothing is compiled.

  Of each device, those of its batch, and half of what convolutions and matrix
  products give out on the way to the loss: the way back wants that, or as much
  that follows from it, but where two are added. A batch of less than 2^-16 of a
  device's memory is taken for nothing.
  """
  devices = mesh_of(settings, objective).shape['data']
  example = pipeline.batch_at(source, 1, 0, seed=settings.seed,
                              augment=objective.augment)
  each = sum(x.nbytes for x in jax.tree.leaves(example))
  data = each * settings.batch_size * settings.steps_per_call // devices
  if data < room() // _SMALL:
    return 0
  parts = settings.micro_batches if _parts_save() else 1
  rows = settings.batch_size // (devices * parts)
  batch = jax.tree.map(lambda x: jax.ShapeDtypeStruct(
      (rows, *x.shape[1:]), x.dtype), example)
  shapes = weight_shapes(settings, model)
  traced = jax.make_jaxpr(objective.loss_fn)(
      shapes['params'], keys.key(settings.seed, 'training'), batch,
      Context(0, shapes['averages'], objective.frozen))
  return data + _given_out(traced.jaxpr) // 2


def _given_out(jaxpr: Any) -> int:
  """Bytes that convolutions and matrix products give out, loops gone once."""
  return sum(x.aval.size * x.aval.dtype.itemsize
             for equation, _ in products(jaxpr, without=_PASSING)
             for x in equation.outvars)


def check_memory(
    compiled: parallel.Compiled, state: State, key: Key,
    settings: TrainingSettings, objective: Objective, source: Source
) -> tuple[int, Work | None]:
  """Bytes that a step needs on each device, by the compiler's own account.

  The step is compiled, not run; beside its memory, what it computes is told.

  Raises:
    ValueError: they are more than there are; the message says what batch fits.
  """
  parts = data_parts(settings, objective)

  def program_of(size: int) -> Program:
    rows = size * settings.steps_per_call
    batch = pipeline.batch_at(source, rows, 0, seed=settings.seed,
                              augment=objective.augment,
                              rows=rows_of(settings, objective, rows))
    return compiled.program(state, key, batch)

  def needed(program: Program) -> int:
    found = program.executable.memory_analysis()
    return 0 if found is None else (
        found.argument_size_in_bytes + found.temp_size_in_bytes
        + found.output_size_in_bytes - found.alias_size_in_bytes)

  size, there = settings.batch_size, room()
  program = program_of(size)
  memory = needed(program)
  work = work_of(program, mesh_of(settings, objective).size,
                 getattr(settings, 'dtype', 'float32'), settings.steps_per_call)
  if memory <= there:
    return memory, work
  fits, more = 0, memory
  while size > parts and more > there:
    # Memory grows in proportion to the batch, or a little less than that.
    size = max(parts, min(size - parts, int(size * there / more) // parts
                          * parts))
    more = needed(program_of(size))
  fits = size if more <= there else 0
  _refuse(settings.batch_size, f'must be at most {fits} here' if fits else '',
          f'{memory / _GIB:.3g} GiB', there)
  return memory, work


def _refuse(size: int, must: str, needs: str, there: int) -> None:
  """Raises ValueError; `must` is empty where no batch fits."""
  check(False, 'batch_size',
        must or 'is too large, and so is any: the network must be smaller',
        f'{size}: a step of it needs {needs} where there are '
        f'{there / _GIB:.3g}'
        + ('; micro_batches lower that too' if _parts_save() else ''))


def _parts_save() -> bool:
  """Whether micro-batches need the memory of one; a CPU computes them at once.

  There they are no loop, see `training.step`, and the compiler lets go of none
  before the others are done: of a U-Net 1.78 GiB in four parts, 1.81 in one.
  """
  return machine.platform() != 'cpu'
