"""What a training consists of before its first step."""

from typing import Any, Iterator

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

from genjax.checks import check
from genjax.data import pipeline
from genjax.networks.partition import partition
from genjax.runs import settings as run_settings
from genjax.runs.open import weight_shapes
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Task
from genjax.runs.task import TrainingSettings
from genjax.training import parallel
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.training.step import joined
from genjax.training.step import make_step
from genjax.training.step import several
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Source


def prepare(
    task: Task, settings: Any
) -> tuple[Model, Objective, parallel.Compiled]:
  """The model of some settings, its objective, and the step that trains it.

  Raises:
    ValueError: settings out of range, or that do not fit each other or the
      devices.
  """
  run_settings.check_settings(settings)
  model = task.build(settings)
  objective = task.loss(settings, model)
  return model, objective, _compile(settings, model, objective)


def _compile(
    settings: TrainingSettings, model: Model, objective: Objective
) -> parallel.Compiled:
  mesh = mesh_of(settings, objective)
  parts = data_parts(settings, objective)
  check(settings.batch_size % parts == 0, 'batch_size', 'must be a multiple of '
        f'{parts // settings.micro_batches} devices times '
        f'{settings.micro_batches} micro-batches', settings.batch_size)
  how: dict[str, Any] = dict(averages=model.averages,
                             micro_batches=settings.micro_batches)
  count = settings.steps_per_call
  if settings.parallel == 'pmap':
    check(settings.tensor_parallel == 1, 'tensor_parallel',
          'must be 1 where parallel is pmap', settings.tensor_parallel)
    return parallel.pmap_step(objective.loss_fn, objective.tx, mesh,
                              steps_per_call=count, **how)
  return parallel.compile_step(
      several(make_step(objective.loss_fn, objective.tx, **how), count), mesh,
      fsdp=settings.parallel == 'fsdp', partition=partition)


def mesh_of(settings: TrainingSettings, objective: Objective) -> Mesh:
  """The devices that share a step.

  Raises:
    ValueError: they cannot be split so.
  """
  # Of several processes none can be left out.
  mesh = parallel.make_mesh(
      objective.devices if jax.process_count() == 1 else None)
  size = settings.tensor_parallel
  check(mesh.size % size == 0, 'tensor_parallel',
        f'must divide the {mesh.size} devices', size)
  return mesh if size == 1 else parallel.make_mesh(mesh.size, size)


def rows_of(
    settings: TrainingSettings, objective: Objective, size: int
) -> np.ndarray:
  """The rows of a batch of `size` that this process reads."""
  return parallel.local_rows(mesh_of(settings, objective), size)


def data_parts(settings: TrainingSettings, objective: Objective) -> int:
  """Parts of a batch: those of the devices times micro-batches."""
  return (mesh_of(settings, objective).shape['data']
          * settings.micro_batches)


def check_calls(settings: TrainingSettings) -> None:
  """Raises ValueError if a call goes beyond a step at which something is done.

  Told before a run begins; `loop.fit` sees what it is given.
  """
  for name in ('steps', 'log_every', 'save_every', 'keep_every'):
    number = getattr(settings, name)
    check(number % settings.steps_per_call == 0, 'steps_per_call',
          f'must divide {name}={number}', settings.steps_per_call)


def first_state(
    key: Key, settings: TrainingSettings, model: Model, objective: Objective,
    source: Source, seed: int
) -> State:
  """The state before the first step; `seed` is of the order of the data."""
  # A network runs for the first time here, on little: compiling it well would
  # take longer than that.
  @jax.jit(compiler_options={'xla_backend_optimization_level': 0}
           if jax.default_backend() == 'cpu' else None)
  def init(key: Key, batch: Batch) -> State:
    return init_state(model.init(key, batch), objective.tx, model.averages)

  batch = pipeline.batch_at(source, settings.batch_size, 0, seed=seed)
  return init(key, batch)._replace(
      frozen=jax.tree.map(jnp.array, objective.frozen))


def state_shapes(
    settings: TrainingSettings, model: Model, objective: Objective
) -> State:
  """Shapes and dtypes of the training state; nothing is computed."""
  return jax.eval_shape(
      lambda params: init_state(params, objective.tx, model.averages,
                                objective.frozen),
      weight_shapes(settings, model)['params'])


def batches_from(
    settings: TrainingSettings, objective: Objective, source: Source, seed: int,
    step: int
) -> Iterator[Batch]:
  """The batches of training that follow `step` steps, joined for each call.

  Of each, the rows of this process.
  """
  batches = pipeline.batches(
      source, settings.batch_size, seed=seed, start_step=step,
      horizontal_flip=objective.flip, crop=objective.crop,
      augment=objective.augment, rows=rows_of(
          settings, objective, settings.batch_size))
  count = settings.steps_per_call
  return batches if count == 1 else _joined(batches, count)


def _joined(batches: Iterator[Batch], count: int) -> Iterator[Batch]:
  """So many batches at a time; they are closed with it."""
  try:
    while True:
      yield joined([next(batches) for _ in range(count)])
  finally:
    if hasattr(batches, 'close'):
      batches.close()
