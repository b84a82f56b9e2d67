"""The loop of every script: a kind, its settings and data to a trained run."""

import contextlib
import os
import time
from typing import Any, Callable, Iterator

import jax
from jax.experimental import multihost_utils
import numpy as np
import optax

from genjax.checks import check
from genjax.data import pipeline
from genjax.data.identity import identify
from genjax.data.identity import Identity
from genjax.runs import keys
from genjax.runs import settings as run_settings
from genjax.runs import workdir as workdirs
from genjax.runs.lock import lock
from genjax.runs.open import weight_shapes
from genjax.runs.snapshots import make_snapshots
from genjax.runs.start import begin
from genjax.runs.start import started
from genjax.runs.task import Data
from genjax.runs.task import MakeHooks
from genjax.runs.task import Model
from genjax.runs.task import no_hooks
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.runs.task import TrainingSettings
from genjax.training import leaves
from genjax.training import loop
from genjax.training import parallel
from genjax.training.averages import widths_of
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.logs import read_metrics
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.training.step import make_step
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Params
from genjax.types import Source

_TIMED = 4  # steps by which the speed of a run is told
_SHARE = 0.9  # of the time, for steps: the rest is for checkpoints and hooks


class Stopped(KeyboardInterrupt):
  """A signal came before the last step; the same call goes on."""

  def __init__(self, signum: int):
    super().__init__(f'stopped by signal {signum}')
    self.signum = signum


def fit_run(
    task: Task, settings: Any, data: Data, workdir: str, *,
    hooks: MakeHooks = no_hooks,
) -> None:
  """Trains a run to its last step.

  Writes settings.json, checkpoints, metrics.jsonl, TensorBoard events and what
  the hooks make to `workdir`, and goes on from what is there: the same call
  after a stop or a kill ends in the same weights.

  Args:
    task: the kind of model.
    settings: of it.
    data: to train on, and what the hooks read.
    workdir: the run's folder.
    hooks: more of them than the kind's own, such as a report's figures.

  Raises:
    ValueError: settings that do not fit each other, the devices, the data or
      the workdir; a workdir in which another process is at work.
    RuntimeError: training diverged.
    Stopped: a signal came; all is saved.
  """
  model, objective, compiled = _prepare(task, settings)
  # One process writes where several train.
  alone = lock(workdir) if jax.process_index() == 0 else (
      contextlib.nullcontext())
  with alone:
    # What is refused is refused before anything is computed or written.
    settings, start = begin(workdir, task.kind, settings, objective.init_from)
    identity = identify(data.train, workdirs.known_files(workdir))
    workdirs.check_same(workdir, task.kind, settings, identity)
    state = _init(keys.key(settings.seed, 'init', *objective.stream), settings,
                  model, objective, data.train, settings.seed)
    if start is not None:
      state = started(state, start, settings.class_names)
    run = _create(workdir, task.kind, settings, identity)
    # Closed whatever happens: TensorBoard's events wait in a buffer.
    with (contextlib.closing(MetricsWriter(workdir)) as writer,
          contextlib.closing(_checkpointer(workdir, run)) as checkpointer,
          contextlib.closing(make_snapshots(workdir, run)) as snapshots):
      session = Session(settings, model, data, workdir, writer)
      try:
        outcome = _train(
            compiled, state, settings, objective, data.train,
            keys.key(settings.seed, 'training', *objective.stream),
            settings.seed, checkpointer=checkpointer,
            snapshots=snapshots if widths_of(model.averages) else None,
            writer=writer,
            hooks=[*task.hooks(session), *hooks(session)])
      except RuntimeError as error:
        if 'finite' not in str(error):
          raise
        raise RuntimeError(
            str(error) + _best_kept(workdir, checkpointer, objective.best)
        ) from error
  if outcome.stopped is not None:
    raise Stopped(outcome.stopped)


def keep_run(
    task: Task, settings: Any, params: Params, workdir: str,
    source: Source | None = None,
) -> None:
  """Keeps params that were not trained, but fitted otherwise, as a run.

  Args:
    task: the kind of model, of averages none.
    settings: of it.
    params: of the shapes of its `init`.
    workdir: the run's folder.
    source: what was fitted to, where it is to be identified.

  Raises:
    ValueError: settings out of range, params of other shapes, or a workdir that
      holds another run or is in use.
  """
  run_settings.check_settings(settings)
  model = task.build(settings)
  _check_fit(params, weight_shapes(settings, model)['params'])
  with lock(workdir):
    identity = None if source is None else identify(source)
    run = workdirs.create_or_check(workdir, task.kind, settings, identity)
    state = init_state(params, optax.identity(), model.averages)
    with contextlib.closing(_checkpointer(workdir, run)) as checkpointer:
      checkpointer.save(1, jax.tree.map(np.asarray, state))


def make_trainer(
    task: Task, settings: Any
) -> Callable[[Key, Source, int], State]:
  """(key, data, seed of their order) -> the state after the last step.

  Trains in memory, by the same loop, without a workdir. It is compiled once
  for all data of one shape.

  Raises:
    ValueError: settings that do not fit each other or the devices.
    KeyboardInterrupt: a signal came; nothing is kept.
  """
  model, objective, compiled = _prepare(task, settings)

  def train(key: Key, source: Source, seed: int) -> State:
    key_init, key_steps = jax.random.split(key)
    state = _init(key_init, settings, model, objective, source, seed)
    outcome = _train(compiled, state, settings, objective, source, key_steps,
                     seed)
    if outcome.stopped is not None:
      raise KeyboardInterrupt
    return outcome.state

  return train


def steps_within(
    task: Task, settings: Any, source: Source, seconds: float
) -> int:
  """How many steps a run can take in a time, by its first few.

  Counted are two compilations, the one here and the one of training, whose
  schedule has another length; a tenth is left for checkpoints and hooks.

  Raises:
    ValueError: settings that do not fit each other or the devices; a time in
      which there is none for ten steps.
  """
  begun = time.perf_counter()
  model, objective, compiled = _prepare(task, settings)
  key = keys.key(settings.seed, 'training', *objective.stream)
  state = compiled.put(_init(
      keys.key(settings.seed, 'init', *objective.stream), settings, model,
      objective, source, settings.seed))
  batches = _batches(settings, objective, source, settings.seed, 0)
  state, _ = compiled.step(state, key, next(batches))
  jax.block_until_ready(state.step)
  compiling, times = time.perf_counter() - begun, []
  for _ in range(_TIMED):
    before = time.perf_counter()
    state, _ = compiled.step(state, key, next(batches))
    jax.block_until_ready(state.step)
    times.append(time.perf_counter() - before)
  spent = (time.perf_counter() - begun) + compiling
  steps = int(_SHARE * (seconds - spent) / np.median(times))
  least = (spent + 10 * np.median(times) / _SHARE) / 60
  check(steps >= 10, 'minutes', f'must be {1.1 * least:.2g} or more: compiling '
        f'takes {spent / 60:.2g} of them', f'{seconds / 60:.2g}')
  # All processes train as long as the first one says.
  return steps if jax.process_count() == 1 else int(
      multihost_utils.broadcast_one_to_all(np.int64(steps)))


def _check_fit(params: Params, shapes: Params) -> None:
  """Raises ValueError for params that could not be opened again."""
  given, wanted = (
      {name: f'{x.dtype} {x.shape}' for name, x in leaves.by_path(tree).items()}
      for tree in (jax.tree.map(np.asarray, params), shapes))
  for name in sorted(given.keys() | wanted.keys()):
    check(given.get(name) == wanted.get(name), 'keep_run',
          f'params{name} must be {wanted.get(name, "absent")}',
          given.get(name, 'absent'))


def _prepare(
    task: Task, settings: Any
) -> tuple[Model, Objective, parallel.Compiled]:
  run_settings.check_settings(settings)
  model = task.build(settings)
  objective = task.loss(settings, model)
  return model, objective, _compile(settings, model, objective)


def _compile(
    settings: TrainingSettings, model: Model, objective: Objective
) -> parallel.Compiled:
  mesh = parallel.make_mesh(objective.devices)
  parts = mesh.size * settings.micro_batches
  check(settings.batch_size % parts == 0, 'batch_size', 'must be a multiple of '
        f'{mesh.size} devices times {settings.micro_batches} micro-batches',
        settings.batch_size)
  how: dict[str, Any] = dict(averages=model.averages,
                             micro_batches=settings.micro_batches)
  if settings.parallel == 'pmap':
    return parallel.pmap_step(objective.loss_fn, objective.tx, mesh, **how)
  return parallel.compile_step(
      make_step(objective.loss_fn, objective.tx, **how), mesh,
      fsdp=settings.parallel == 'fsdp')


def _init(
    key: Key, settings: TrainingSettings, model: Model, objective: Objective,
    source: Source, seed: int
) -> State:
  """The state before the first step; `seed` is of the order of the data."""
  # A network runs for the first time here, on little: compiling it well would
  # take longer than that.
  init = jax.jit(model.init, compiler_options={
      'xla_backend_optimization_level': 0}
      if jax.default_backend() == 'cpu' else None)
  batch = pipeline.batch_at(source, settings.batch_size, 0, seed=seed)
  return init_state(init(key, batch), objective.tx, model.averages,
                    objective.frozen)


def _create(workdir: str, kind: str, settings: Any, identity: Identity) -> str:
  """Makes or checks the workdir, first by one process, then by the others."""
  if jax.process_index() > 0:
    multihost_utils.sync_global_devices('workdir')
  run = workdirs.create_or_check(workdir, kind, settings, identity)
  if jax.process_index() == 0 and jax.process_count() > 1:
    multihost_utils.sync_global_devices('workdir')
  return run


def _train(
    compiled: parallel.Compiled, state: State, settings: TrainingSettings,
    objective: Objective, source: Source, key: Key, seed: int, **kept: Any
) -> loop.Outcome:
  """The loop, with a workdir's keepers or without."""
  outcome = loop.fit(
      compiled, state, key,
      lambda step: _batches(settings, objective, source, seed, step),
      num_steps=settings.steps, log_every=settings.log_every,
      save_every=settings.save_every, best_metric=objective.best, **kept)
  # The loop gives up after some steps without a finite update: a run may be
  # shorter than that.
  if outcome.state.skipped == outcome.state.step:
    raise RuntimeError(f'fit: no update was finite in {outcome.state.step} '
                       'steps: lower the learning rate or look at the data')
  return outcome


def _batches(
    settings: TrainingSettings, objective: Objective, source: Source, seed: int,
    step: int
) -> Iterator[Batch]:
  """Those of training from `step` on."""
  return pipeline.batches(
      source, settings.batch_size, seed=seed, start_step=step,
      horizontal_flip=objective.flip, crop=objective.crop)


def _checkpointer(workdir: str, run: str) -> Checkpointer:
  return Checkpointer(os.path.join(workdir, 'checkpoints'), run=run)


def _best_kept(workdir: str, checkpointer: Checkpointer, metric: str) -> str:
  """Says which checkpoint of a run that diverged is the one to go back to.

  By the metric of the hooks at its step, or where none is finite by the last
  finite training loss up to it: of two that have the same, it is the earlier.
  """
  records = read_metrics(os.path.join(workdir, 'metrics.jsonl'))
  judged: dict[int, float] = {}
  trained: dict[int, float] = {}
  for step in checkpointer.steps():
    for record in records:
      if record['step'] == step and record.get(metric) is not None:
        judged[step] = record[metric]
      if record['step'] <= step and record.get('loss') is not None:
        trained[step] = record['loss']
  scores = judged or trained
  if not scores:
    return ''
  best = min(scores, key=lambda step: scores[step])
  return (f'; the best checkpoint kept is that of step {best}: '
          f'{metric if judged else "loss"} {scores[best]:.4g}')
