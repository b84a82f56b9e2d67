"""What devices and host do in some steps of a training, written down."""

import contextlib
import os
import re
from typing import Any, ContextManager

from absl import logging
import jax

from genjax.checks import check

FOLDER = 'profile'  # in the folder of a run


def profiled_steps(text: str | None, num_steps: int) -> range:
  """The steps that '10:15' names, both ends among them; none of None.

  Raises:
    ValueError: it names no steps from 1 to `num_steps`.
  """
  if text is None:
    return range(0)
  found = re.fullmatch(r'(\d{1,9}):(\d{1,9})', text)
  first, last = map(int, found.groups()) if found else (0, 0)
  check(1 <= first <= last <= num_steps, 'profile_steps', 'must be a first and '
        f'a last step of the {num_steps}, such as 10:15', repr(text))
  return range(first, last + 1)


class Profile:
  """Writes a trace of some steps by `jax.profiler`, once.

  Steps before them have come to their end when the trace begins, and they have
  when it ends. Of steps that were taken before the run was stopped there is
  nothing to write.

  Args:
    steps: one after the other; none for no trace.
    workdir: the trace is written to its folder `profile`.
  """

  def __init__(self, steps: range = range(0), workdir: str = ''):
    self.steps = steps
    self._folder = os.path.join(workdir, FOLDER)
    self._running = False

  def before(self, done: int, step: int, state: Any) -> None:
    """Begins the trace if one of its steps follows `done`, up to `step`."""
    if not self._running and self.steps and (
        done < self.steps[-1] and step >= self.steps[0]):
      jax.block_until_ready(state)
      jax.profiler.start_trace(self._folder)
      self._running = True

  def named(self, step: int) -> ContextManager[Any]:
    """Gives what is done inside the name of `step` in the trace."""
    return (jax.profiler.StepTraceAnnotation('train', step_num=step)
            if self._running else contextlib.nullcontext())

  def after(self, step: int, state: Any) -> None:
    """Ends the trace if `step` is the last of its steps, or later."""
    if self._running and step >= self.steps[-1]:
      jax.block_until_ready(state)
      self.close()

  def close(self) -> None:
    """Ends the trace if it goes on, and writes it."""
    if self._running:
      self._running = False
      jax.profiler.stop_trace()
      logging.info('the profile of steps %d to %d is in %s: open its '
                   '*.trace.json.gz in ui.perfetto.dev, or the folder in xprof '
                   'or TensorBoard', self.steps[0], self.steps[-1],
                   self._folder)
