"""The loop of every script: a kind, its settings and data to a trained run."""

from concurrent import futures
import contextlib
import os
from typing import Any, Callable, Iterator

import jax
import numpy as np
import optax

from genjax import store
from genjax.checks import check
from genjax.data.identity import identify
from genjax.data.identity import Identity
from genjax.runs import keys
from genjax.runs import settings as run_settings
from genjax.runs import workdir as workdirs
from genjax.runs.lock import lock
from genjax.runs.measure import check_batch
from genjax.runs.measure import check_memory
from genjax.runs.open import weight_shapes
from genjax.runs.prepare import batches_from
from genjax.runs.prepare import check_calls
from genjax.runs.prepare import first_state
from genjax.runs.prepare import prepare
from genjax.runs.prepare import state_shapes
from genjax.runs.snapshots import make_snapshots
from genjax.runs.start import begin
from genjax.runs.start import saved_steps
from genjax.runs.start import Start
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
from genjax.training.profile import Profile
from genjax.training.profile import profiled_steps
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.training.work import Work
from genjax.types import Key
from genjax.types import Params
from genjax.types import Source


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
    workdir: the run's folder, or an address as of `store.at_hand`.
    hooks: more of them than the kind's own, such as a report's figures.

  Raises:
    ValueError: settings that do not fit each other, the devices or their
      memory, the data or the workdir; a workdir in which another process is at
      work.
    RuntimeError: training diverged.
    Stopped: a signal came; all is saved.
  """
  model, objective, compiled = prepare(task, settings)
  profiled = profiled_steps(settings.profile_steps, settings.steps)
  check_calls(settings)
  key = keys.key(settings.seed, 'training', *objective.stream)
  with store.at_hand('workdir', workdir) as workdir, _alone(workdir):
    # What is refused is refused before anything is computed or written.
    settings, start = begin(workdir, task.kind, settings, objective.init_from)
    identity = identify(data.train, workdirs.known_files(workdir))
    workdirs.check_same(workdir, task.kind, settings, identity)
    _check_alike(settings, identity)
    unfinished = max(saved_steps(workdir), default=0) < settings.steps
    if unfinished:
      check_batch(settings, model, objective, data.train)
    state, work = _first(compiled, settings, model, objective, data.train, key,
                         start, unfinished)
    run = _create(workdir, task.kind, settings, identity)
    # A device has no room for it beside that of training.
    state = jax.tree.map(
        lambda x: np.asarray(x) if isinstance(x, jax.Array) else x, state)
    # Closed whatever happens: TensorBoard's events wait in a buffer.
    with (contextlib.closing(MetricsWriter(workdir)) as writer,
          contextlib.closing(_checkpointer(
              workdir, run, settings.keep_every)) as checkpointer,
          contextlib.closing(make_snapshots(
              workdir, run, settings.keep_every)) as snapshots):
      session = Session(settings, model, data, workdir, writer)
      try:
        outcome = _train(
            compiled, state, settings, objective, data.train,
            key, settings.seed, checkpointer=checkpointer,
            snapshots=snapshots if widths_of(model.averages) else None,
            writer=writer, work=work, profile=Profile(profiled, workdir),
            hooks=[*task.hooks(session), *hooks(session)])
      except RuntimeError as error:
        if 'finite' not in str(error):
          raise
        raise RuntimeError(
            str(error) + _best_kept(workdir, checkpointer, objective.best)
        ) from error
    share(workdir, 'fitted')
  if outcome.stopped is not None:
    raise Stopped(outcome.stopped)


def share(workdir: str, name: str) -> None:
  """What the first process has written in `workdir` the others may read.

  All of them wait for each other, at the call of the same name.
  """
  store.push(workdir)
  parallel.together(name)
  if jax.process_index() > 0:
    store.pull(workdir)


def _first(
    compiled: parallel.Compiled, settings: Any, model: Model,
    objective: Objective, source: Source, key: Key, start: Start | None,
    unfinished: bool
) -> tuple[State, Work | None]:
  """The first state, and the work of a step, where one is to be taken.

  The step is compiled beside what makes the state: shapes are enough for it,
  but under pmap.

  Raises:
    ValueError: see `started` and `check_memory`.
  """
  with futures.ThreadPoolExecutor(1) as background:
    made = background.submit(
        first_state, keys.key(settings.seed, 'init', *objective.stream),
        settings, model, objective, source, settings.seed)
    state = None
    if start is not None:
      state = started(made.result(), start, settings.class_names)
    if not unfinished:
      return state or made.result(), None
    shapes = (state or made.result() if settings.parallel == 'pmap' else
              state_shapes(settings, model, objective))
    _, work = check_memory(compiled, shapes, key, settings, objective, source)
    return state or made.result(), work


def keep_run(
    task: Task, settings: Any, params: Params, workdir: str,
    source: Source | None = None,
) -> None:
  """Keeps params that were not trained, but fitted otherwise, as a run.

  Args:
    task: the kind of model, of averages none.
    settings: of it.
    params: of the shapes of its `init`.
    workdir: the run's folder, or an address as of `store.at_hand`.
    source: what was fitted to, where it is to be identified.

  Raises:
    ValueError: settings out of range, params of other shapes, or a workdir that
      holds another run or is in use.
  """
  run_settings.check_settings(settings)
  model = task.build(settings)
  _check_fit(params, weight_shapes(settings, model)['params'])
  with store.at_hand('workdir', workdir) as workdir, _alone(workdir):
    identity = None if source is None else identify(source)
    run = _create(workdir, task.kind, settings, identity)
    state = init_state(params, optax.identity(), model.averages)
    with contextlib.closing(_checkpointer(workdir, run)) as checkpointer:
      checkpointer.save(1, jax.tree.map(np.asarray, state))
    share(workdir, 'kept')


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
  model, objective, compiled = prepare(task, settings)

  def train(key: Key, source: Source, seed: int) -> State:
    key_init, key_steps = jax.random.split(key)
    state = first_state(key_init, settings, model, objective, source, seed)
    outcome = _train(compiled, state, settings, objective, source, key_steps,
                     seed)
    if outcome.stopped is not None:
      raise KeyboardInterrupt
    return outcome.state

  return train


def _check_fit(params: Params, shapes: Params) -> None:
  """Raises ValueError for params that could not be opened again."""
  given, wanted = (
      {name: f'{x.dtype} {x.shape}' for name, x in leaves.by_path(tree).items()}
      for tree in (jax.tree.map(np.asarray, params), shapes))
  for name in sorted(given.keys() | wanted.keys()):
    check(given.get(name) == wanted.get(name), 'keep_run',
          f'params{name} must be {wanted.get(name, "absent")}',
          given.get(name, 'absent'))


@contextlib.contextmanager
def _alone(workdir: str) -> Iterator[None]:
  """Holds the workdir, for all processes if there are several."""
  with contextlib.ExitStack() as held:
    if jax.process_index() == 0:
      held.enter_context(lock(workdir))
    if store.find(workdir)[0] is not None:
      parallel.together('held')  # before that another may have written
      store.pull(workdir, training=True)
    held.callback(store.push, workdir)  # before it is let go of
    yield


def _create(
    workdir: str, kind: str, settings: Any, identity: Identity | None
) -> str:
  """Makes or checks the workdir, first by one process, then by the others."""
  if jax.process_index() > 0:
    parallel.together('workdir')
  run = workdirs.create_or_check(workdir, kind, settings, identity)
  if jax.process_index() == 0:
    parallel.together('workdir')
  return run


def _check_alike(settings: Any, identity: Identity) -> None:
  """Raises ValueError unless all processes are told the same."""
  for what, value in (('the same flags', run_settings.to_json(settings)),
                      ('the same data', identity.data_id)):
    mine = np.frombuffer(bytes.fromhex(run_settings.run_id(
        {'value': value})), np.uint8)
    check(np.array_equal(mine, parallel.same_as_first(mine)), 'num_processes',
          f'all processes must be given {what}', 'others than the first')


def _train(
    compiled: parallel.Compiled, state: State, settings: TrainingSettings,
    objective: Objective, source: Source, key: Key, seed: int, **kept: Any
) -> loop.Outcome:
  """The loop, with a workdir's keepers or without."""
  outcome = loop.fit(
      compiled, state, key,
      lambda step: batches_from(settings, objective, source, seed, step),
      num_steps=settings.steps, steps_per_call=settings.steps_per_call,
      log_every=settings.log_every,
      save_every=settings.save_every, best_metric=objective.best, **kept)
  # The loop gives up after some steps without a finite update: a run may be
  # shorter than that.
  if outcome.state.skipped == outcome.state.step:
    raise RuntimeError(f'fit: no update was finite in {outcome.state.step} '
                       'steps: lower the learning rate or look at the data')
  return outcome


def _checkpointer(workdir: str, run: str, every: int = 0) -> Checkpointer:
  return Checkpointer(os.path.join(workdir, 'checkpoints'), run=run,
                      every=every)


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
