"""Where the time of a training goes, and how much of it is left."""

import collections
import contextlib
import time
from typing import Mapping

_STARTING = 3  # steps that are not counted: the first ones compile


def in_words(seconds: float) -> str:
  """A time as a person says it: '50 s', '12 min', '3.5 h'."""
  if seconds < 90:
    return f'{seconds:.0f} s'
  return (f'{seconds / 60:.0f} min' if seconds < 90 * 60
          else f'{seconds / 3600:.1f} h')


class Clock:
  """Tells the time of steps from that of what is done beside them.

  Args:
    start: steps that were done before.
    num_steps: the last step.
    every: name -> steps between two calls of what is done beside them; each is
      called after the last step, too.
  """

  def __init__(self, start: int, num_steps: int, every: Mapping[str, int]):
    self._since = self._step = start + _STARTING
    self._num_steps = num_steps
    self._every = every
    self._begun: float | None = None
    self._now = 0.0
    self._beside: dict[str, list[float]] = collections.defaultdict(list)

  def tick(self, step: int) -> None:
    """Says that a step has been handed to the devices."""
    if step >= self._since:
      self._step, self._now = step, time.perf_counter()
      if self._begun is None:
        self._begun, self._since = self._now, step

  @contextlib.contextmanager
  def beside(self, name: str):
    """Counts the time spent inside as that of `name`."""
    before = time.perf_counter()
    yield
    if self._begun is not None:
      self._now = time.perf_counter()
      self._beside[name].append(self._now - before)

  def left(self) -> float | None:
    """Seconds to the end, None where nothing is known yet.

    What is done beside the steps counts by its last time, as the first call
    compiles; for nothing, where it has not been done yet.
    """
    if self._begun is None or self._step == self._since:
      return None
    spent = sum(map(sum, self._beside.values()))
    pace = (self._now - self._begun - spent) / (self._step - self._since)
    return pace * (self._num_steps - self._step) + sum(
        self._calls_left(self._every[name]) * times[-1]
        for name, times in self._beside.items())

  def share(self, name: str) -> float:
    """Share of the time up to now that `name` took."""
    total = self._now - (self._now if self._begun is None else self._begun)
    return sum(self._beside[name]) / total if total else 0.0

  def total(self) -> float:
    """Seconds up to now, but for the first steps, which compile."""
    return 0.0 if self._begun is None else self._now - self._begun

  def _calls_left(self, every: int) -> int:
    return -(-self._num_steps // every) - self._step // every
