"""Means, speed and waiting of a training, read at intervals."""

import collections
import contextlib
import time
from typing import Any

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from genjax.training.work import Work
from genjax.types import Batch
from genjax.types import Mean

_IN_FLIGHT = 2  # enough to keep a device busy, few enough to hold few batches
_STARVED = 1 / 3  # share of the time without work, beyond which devices starve
_NOTICED = 1.0  # seconds in all without work, below which nothing is said


class Meter:
  """Means over an interval of the log, summed where the step runs.

  The host reads only at the end of an interval, and runs ahead of the devices
  by a bounded number of steps.

  Args:
    step: the last one before those that are measured.
    work: of a step, where it is known.
  """

  def __init__(self, step: int, work: Work | None = None):
    self.barren = 0  # steps up to the last reading without a finite update
    self._work = work
    self._idle_in_all = 0.0
    self._warned = False
    self._in_flight: collections.deque[Any] = collections.deque()
    self._begin(step)

  def _begin(self, step: int) -> None:
    self._totals: dict[str, Mean] | None = None
    self._since, self._examples = step, 0
    self._clock = time.perf_counter()
    self._waited = self._idle = 0.0

  def add(self, metrics: dict[str, Mean], batch: Batch) -> None:
    """Takes the metrics of one step, and its batch, placed or not."""
    first = jax.tree.leaves(batch)[0]
    self._examples += len(first) * (
        1 if isinstance(first, jax.Array) else jax.process_count())
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
    scalars['examples_per_second'] = self._examples / seconds
    scalars['data_share'] = self._waited / seconds
    if self._work is not None:
      scalars['flop_per_step'] = self._work.flop
      scalars['flop_per_second'] = self._work.flop * steps / seconds
      if self._work.peak is not None:
        scalars['utilisation'] = scalars['flop_per_second'] / self._work.peak
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
