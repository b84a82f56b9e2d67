"""The loop of every training run: the same run whether or not it is stopped."""

import contextlib
import signal
import threading
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from absl import logging
import jax
from jax.experimental import multihost_utils
import numpy as np
import tqdm

from genjax.checks import check
from genjax.checks import check_positive
from genjax.training import leaves
from genjax.training.ahead import Ahead
from genjax.training.checkpoint import Checkpointer
from genjax.training.clock import Clock
from genjax.training.clock import in_words
from genjax.training.logs import MetricsWriter
from genjax.training.meter import Meter
from genjax.training.parallel import Compiled
from genjax.training.profile import Profile
from genjax.training.state import snapshot
from genjax.training.state import State
from genjax.training.work import Work
from genjax.types import Batch
from genjax.types import Key

_WORTH_SAYING = 60  # seconds: what takes less is not told the time of
_PATIENCE = 20  # steps in a row without one finite update before giving up


class Hook(NamedTuple):
  """Something to do every `every` steps, and after the last."""

  every: int
  # (state as numpy arrays, step) -> scalars for the logs, or None.
  call: Callable[[State, int], Mapping[str, float] | None]


class Outcome(NamedTuple):
  """How a run ended."""

  state: State  # numpy arrays
  stopped: int | None  # the signal that stopped it before the last step


def fit(
    compiled: Compiled,
    state: State,
    key: Key,
    batches_from: Callable[[int], Iterator[Batch]],
    *,
    num_steps: int,
    steps_per_call: int = 1,
    log_every: int = 100,
    save_every: int = 1000,
    checkpointer: Checkpointer | None = None,
    snapshots: Checkpointer | None = None,
    writer: MetricsWriter | None = None,
    hooks: Sequence[Hook] = (),
    best_metric: str = 'held_out_loss',
    work: Work | None = None,
    profile: Profile = Profile(),
) -> Outcome:
  """Trains up to step `num_steps`, going on from the latest checkpoint.

  A run stopped at any step and started again with the same arguments ends in
  the same state as one never stopped, bit for bit on CPU, and has written
  the same steps to its logs; only the first line after a restart averages
  over fewer steps. SIGINT, SIGTERM and SIGHUP finish the step, save and
  return; a second one acts at once. SIGUSR1 saves after the step.

  Args:
    compiled: of `compile_step` or `pmap_step`.
    state: of `init_state`; not used up. Where to begin if there is no
      checkpoint.
    key: root key of the run, see `make_step`.
    batches_from: step -> iterator of batches, beginning with that which
      follows `step` steps; each holds those of a call, see `joined`.
    num_steps: the last step. A checkpoint of it or later is returned as it is.
    steps_per_call: steps that `compiled` takes in a call, see `several`. Logs,
      hooks, checkpoints and signals wait for the end of a call: it must divide
      all numbers of steps here, and those of the checkpoint gone on from.
    log_every: steps between lines in the logs: means over those steps; steps
      and examples per second; `data_share`, the share of the time in which the
      next batch was waited for; and, where `work` is given, FLOP per step and
      per second, and their share of the devices' peak, `utilisation`. Where
      devices idle in more than a third of the time, a warning says so once.
    save_every: steps between checkpoints; the last step is saved as well, and
      those that the checkpointer keeps for ever.
    checkpointer: None keeps nothing.
    snapshots: keeps the power averages of the steps that are saved, but for
      those at which it was stopped: the same ones wherever that was.
    writer: None logs nothing; closing it is left to the caller.
    hooks: sample grids, held-out losses; their scalars join the line of the
      step. The share of the time that they took is told at the end.
    best_metric: scalar of a hook by which the best checkpoint is kept: it
      ranks those saved at a step at which the hook ran.
    work: of a step, where it is known.
    profile: traces some of the steps, in the first process.

  Returns:
    An `Outcome`.

  Raises:
    ValueError: if a batch has other shapes or dtypes than the first, or the
      step returns a state of another layout than it was given: it would be
      compiled again.
    RuntimeError: if no update was finite for a whole interval of the log and
      at least 20 steps, or the batches end too soon. What a batch raises is
      raised when the steps before it are saved.
  """
  for name, value in (('num_steps', num_steps), ('log_every', log_every),
                      ('save_every', save_every)):
    check_positive('fit', name, value)
  state, start = _resume(state, checkpointer)
  for name, value in (
      ('steps', num_steps), ('log_every', log_every),
      ('save_every', save_every),
      ('keep_every', 0 if checkpointer is None else checkpointer.every),
      ('the steps of its checkpoint,', min(start, num_steps)),
      *(('those between two calls of a hook,', hook.every) for hook in hooks)):
    check(value % steps_per_call == 0, 'steps_per_call',
          f'must divide {name} {value}', steps_per_call)
  if jax.process_index() > 0:
    profile = Profile()
  if writer is not None:
    writer.start(start)
  if start >= num_steps:
    return Outcome(jax.tree.map(np.asarray, state), stopped=None)

  state = compiled.put(state)
  batches = batches_from(start)
  meter = Meter(start, work)

  def read() -> Batch:
    with meter.waiting():
      batch = next(batches)
    same_batch.check(batch)
    return compiled.place(batch)

  ahead = Ahead(read, (num_steps - start) // steps_per_call)
  same_batch = leaves.Steady('a batch')
  same_state = leaves.Steady('the state')
  clock = Clock(start, num_steps, {'save': save_every, **{
      f'hook {i}': hook.every for i, hook in enumerate(hooks)}})
  with contextlib.ExitStack() as stack:
    signals = stack.enter_context(_watch_signals())
    bar = stack.enter_context(tqdm.tqdm(
        total=num_steps, initial=start, disable=None, dynamic_ncols=True))
    if hasattr(batches, 'close'):
      stack.callback(batches.close)
    if checkpointer is not None:
      stack.callback(checkpointer.wait)
    stack.callback(profile.close)

    for before in range(start, num_steps, steps_per_call):
      step = before + steps_per_call
      profile.before(before, step, state)
      try:
        batch = ahead.next()
      except Exception as error:
        if checkpointer is not None and jax.process_count() == 1 and (
            before > start and before not in checkpointer.steps()):
          checkpointer.save(before, compiled.get(state))
        if isinstance(error, StopIteration):
          raise RuntimeError(
              f'fit: batches ended before step {step}') from error
        raise
      if before == start:
        same_state.check(state)
      with profile.named(step):
        state, metrics = compiled.step(state, key, batch)
      if before == start:  # later ones are given what it has returned
        same_state.check(state)
      meter.add(metrics, batch)
      profile.after(step, state)
      clock.tick(step)
      bar.update()

      last = step == num_steps
      due = last or step % save_every == 0 or (
          checkpointer is not None and checkpointer.keeps(step))
      scalars, host = {}, None
      if step % log_every == 0 or last:
        scalars = meter.read(step)
        bar.set_postfix(loss=f'{scalars["loss"]:.4g}')
      for i, hook in enumerate(hooks):
        if step % hook.every == 0 or last:
          host = compiled.get(state) if host is None else host
          with meter.paused(), clock.beside(f'hook {i}'):
            scalars.update(hook.call(host, step) or {})
      if scalars and writer is not None:
        writer.scalars(step, scalars)
      if meter.barren >= _PATIENCE:
        raise RuntimeError(
            f'fit: no finite update in the {meter.barren} steps up to '
            f'{step}: lower the learning rate or look at the data; '
            + _last_good(checkpointer))

      stop, asked = signals(step)
      if checkpointer is not None and (due or stop or asked):
        if writer is not None:
          writer.flush()  # a kill after the save loses nothing before it
        host = compiled.get(state) if host is None else host
        with clock.beside('save'):
          if snapshots is not None and due:
            # Whole before the checkpoint is: a run that goes on from that lacks
            # none.
            snapshots.save(step, snapshot(host))
            snapshots.wait()
          checkpointer.save(step, host, scalars.get(best_metric))
      if stop and not last:
        return Outcome(compiled.get(state), stopped=stop)
      left = clock.left() if step % -(-num_steps // 10) == 0 else None
      if left is not None and left > _WORTH_SAYING:
        logging.info('step %d of %d: %s left', step, num_steps, in_words(left))
  share = sum(clock.share(f'hook {i}') for i in range(len(hooks)))
  if share and clock.total() > _WORTH_SAYING:
    logging.info('samples, losses and figures took %.2g %% of the time, '
                 'checkpoints %.2g %%', 100 * share, 100 * clock.share('save'))
  return Outcome(compiled.get(state), stopped=None)


def _resume(
    state: State, checkpointer: Checkpointer | None
) -> tuple[State, int]:
  """The latest whole checkpoint if there is one, else `state`."""
  restored = None
  if checkpointer is not None:
    restored = checkpointer.restore(jax.eval_shape(lambda: state))
  if restored is None:
    return state, int(state.step)
  logging.info('going on from step %d', restored[1])
  return restored


def _last_good(checkpointer: Checkpointer | None) -> str:
  steps = checkpointer.steps() if checkpointer is not None else []
  return (f'the latest checkpoint is of step {steps[-1]}' if steps
          else 'there is no checkpoint')


@contextlib.contextmanager
def _watch_signals():
  """Yields a function of the step that says what came since it was asked.

  (the signal to stop by or None, whether to save).
  """
  if jax.process_count() > 1:
    # All processes must stop at one step, and jax watches for SIGTERM itself.
    yield lambda step: (signal.SIGTERM if (
        multihost_utils.reached_preemption_sync_point(step)) else None, False)
    return
  if threading.current_thread() is not threading.main_thread():
    yield lambda step: (None, False)  # python lets only the main thread watch
    return
  to_stop: list[int] = []
  to_save: list[int] = []
  previous: dict[int, Any] = {}

  def stop(signum, frame):
    del frame
    to_stop.append(signum)
    signal.signal(signum, previous[signum])

  def came(step):
    del step
    asked = bool(to_save)
    to_save.clear()
    return to_stop[0] if to_stop else None, asked

  handlers: dict[int, Any] = {
      **dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), stop),
      signal.SIGUSR1: lambda signum, frame: to_save.append(signum)}
  for signum, handler in handlers.items():
    previous[signum] = signal.getsignal(signum) or signal.SIG_DFL
    # What nohup has told to pass over the end of a terminal does.
    if (signum, previous[signum]) != (signal.SIGHUP, signal.SIG_IGN):
      signal.signal(signum, handler)
  try:
    yield came
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)
