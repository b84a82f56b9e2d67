"""The loop of every training run: the same run whether or not it is stopped."""

import collections
import contextlib
import signal
import threading
import time
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

from absl import logging
import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np
import tqdm

from genjax.checks import check_positive
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.parallel import Compiled
from genjax.training.state import snapshot
from genjax.training.state import State
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Mean

_IN_FLIGHT = 2  # enough to keep a device busy, few enough to hold few batches
_PATIENCE = 20  # steps in a row without one finite update before giving up
_STARVED = 1 / 3  # share of the time without work, beyond which devices starve
_NOTICED = 1.0  # seconds in all without work, below which nothing is said


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
    log_every: int = 100,
    save_every: int = 1000,
    checkpointer: Checkpointer | None = None,
    snapshots: Checkpointer | None = None,
    writer: MetricsWriter | None = None,
    hooks: Sequence[Hook] = (),
    best_metric: str = 'held_out_loss',
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
      follows `step` steps.
    num_steps: the last step. A checkpoint of it or later is returned as it is.
    log_every: steps between lines in the logs: means over those steps, steps
      per second, and `data_share`, the share of the time in which the next
      batch was waited for. Where devices idle in more than a third of it, a
      warning says so once.
    save_every: steps between checkpoints; the last step is saved as well.
    checkpointer: None keeps nothing.
    snapshots: keeps the power averages of those steps that are multiples of
      `save_every`, and of the last: the same ones wherever a run was stopped.
    writer: None logs nothing; closing it is left to the caller.
    hooks: sample grids, held-out losses; their scalars join the line of the
      step.
    best_metric: scalar of a hook by which the best checkpoint is kept: it
      ranks those saved at a step at which the hook ran.

  Returns:
    An `Outcome`.

  Raises:
    RuntimeError: if no update was finite for a whole interval of the log and
      at least 20 steps, or the batches end too soon. What a batch raises is
      raised when the steps before it are saved.
  """
  for name, value in (('num_steps', num_steps), ('log_every', log_every),
                      ('save_every', save_every)):
    check_positive('fit', name, value)
  state, start = _resume(state, checkpointer)
  if jax.process_index() > 0:
    writer = None
  if writer is not None:
    writer.start(start)
  if start >= num_steps:
    return Outcome(jax.tree.map(np.asarray, state), stopped=None)

  state = compiled.put(state)
  batches = batches_from(start)
  meter = _Meter(start)
  with contextlib.ExitStack() as stack:
    signals = stack.enter_context(_watch_signals())
    bar = stack.enter_context(tqdm.tqdm(
        total=num_steps, initial=start, disable=None, dynamic_ncols=True))
    if hasattr(batches, 'close'):
      stack.callback(batches.close)
    if checkpointer is not None:
      stack.callback(checkpointer.wait)

    for step in range(start + 1, num_steps + 1):
      try:
        with meter.waiting():
          batch = next(batches)
      except Exception as error:  # of a file, say, that broke in the meantime
        if checkpointer is not None and jax.process_count() == 1 and (
            step - 1 > start and step - 1 not in checkpointer.steps()):
          checkpointer.save(step - 1, compiled.get(state))
        if isinstance(error, StopIteration):
          raise RuntimeError(
              f'fit: batches ended before step {step}') from error
        raise
      state, metrics = compiled.step(state, key, batch)
      meter.add(metrics)
      bar.update()

      last = step == num_steps
      scalars, host = {}, None
      if step % log_every == 0 or last:
        scalars = meter.read(step)
        bar.set_postfix(loss=f'{scalars["loss"]:.4g}')
      due = [hook for hook in hooks if step % hook.every == 0 or last]
      if due:
        host = compiled.get(state)
        with meter.paused():
          for hook in due:
            scalars.update(hook.call(host, step) or {})
      if scalars and writer is not None:
        writer.scalars(step, scalars)
      if meter.barren >= _PATIENCE:
        raise RuntimeError(
            f'fit: no finite update in the {meter.barren} steps up to '
            f'{step}: lower the learning rate or look at the data; '
            + _last_good(checkpointer))

      stop, asked = signals(step)
      if checkpointer is not None and (
          step % save_every == 0 or last or stop or asked):
        if writer is not None:
          writer.flush()  # a kill after the save loses nothing before it
        host = compiled.get(state) if host is None else host
        if snapshots is not None and (step % save_every == 0 or last):
          # Whole before the checkpoint is: a run that goes on from that lacks
          # none.
          snapshots.save(step, snapshot(host))
          snapshots.wait()
        checkpointer.save(step, host, scalars.get(best_metric))
      if stop and not last:
        return Outcome(compiled.get(state), stopped=stop)
  return Outcome(compiled.get(state), stopped=None)


class _Meter:
  """Means over an interval of the log, summed where the step runs.

  The host reads only at the end of an interval, and runs ahead of the devices
  by a bounded number of steps.
  """

  def __init__(self, step: int):
    self.barren = 0  # steps up to the last reading without a finite update
    self._idle_in_all = 0.0
    self._warned = False
    self._in_flight: collections.deque[Any] = collections.deque()
    self._begin(step)

  def _begin(self, step: int) -> None:
    self._totals: dict[str, Mean] | None = None
    self._since = step
    self._clock = time.perf_counter()
    self._waited = self._idle = 0.0

  def add(self, metrics: dict[str, Mean]) -> None:
    """Takes the metrics of one step."""
    self._totals = metrics if self._totals is None else _add(self._totals,
                                                             metrics)
    self._in_flight.append(metrics['skipped'].total)
    if len(self._in_flight) > _IN_FLIGHT:
      self._in_flight.popleft().block_until_ready()

  def read(self, step: int) -> dict[str, float]:
    """Means since the last reading (NaN over nothing), and the speed."""
    with np.errstate(invalid='ignore'):
      scalars = {name: float(np.divide(mean.total, mean.count))
                 for name, mean in jax.device_get(self._totals).items()}
    steps, seconds = step - self._since, time.perf_counter() - self._clock
    scalars['steps_per_second'] = steps / seconds
    scalars['data_share'] = self._waited / seconds
    if self._idle > _STARVED * seconds and not self._warned and (
        self._idle_in_all > _NOTICED):
      self._warned = True
      logging.warning(
          'fit: devices waited for data in %.0f %% of the time up to step %d: '
          'keep a folder of images in memory by a larger cache, or read it '
          'from a faster disk', 100 * self._idle / seconds, step)
    self.barren = self.barren + steps if scalars['skipped'] == 1.0 else 0
    self._begin(step)
    return scalars

  @contextlib.contextmanager
  def waiting(self):
    """Takes the time spent inside for that of waiting for a batch.

    Devices idle in it if they have come to the end of their steps. The first
    batch counts for nothing: readers start with it.
    """
    before = time.perf_counter()
    yield
    if self._in_flight:
      waited = time.perf_counter() - before
      self._waited += waited
      if all(x.is_ready() for x in self._in_flight):
        self._idle += waited
        self._idle_in_all += waited

  @contextlib.contextmanager
  def paused(self):
    """Leaves the time spent inside out of the speed."""
    before = time.perf_counter()
    yield
    self._clock += time.perf_counter() - before


@jax.jit
def _add(a, b):
  return jax.tree.map(jnp.add, a, b)


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
