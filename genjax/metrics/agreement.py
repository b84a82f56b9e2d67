"""Whether samples are of the classes that were asked for."""

from typing import NamedTuple

import numpy as np

from genjax.checks import check
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.metrics.estimate import share_in_mix


class Agreement(NamedTuple):
  """How often a classifier says the class that was asked for, as shares."""

  recognised: Estimate  # of the samples
  # of samples that have nothing to do with what was asked for, None where that
  # cannot be told apart because one class alone was
  chance: float | None
  real: Estimate  # of real images of the same classes

  @property
  def heeded(self) -> bool:
    """Whether samples are recognised more often than by chance."""
    return self.chance is not None and self.recognised.low > self.chance

  @property
  def ignored(self) -> bool:
    """Whether they are not, while real images are more often than they."""
    return (self.chance is not None and not self.heeded
            and self.recognised.high < self.real.value)

  @property
  def hidden(self) -> bool:
    """Whether neither samples nor real images surely pass chance."""
    return (self.chance is not None and not self.heeded
            and not self.ignored and self.real.low <= self.chance)


def agreement(
    asked: np.ndarray, said: np.ndarray, right: np.ndarray, count: np.ndarray
) -> Agreement:
  """Compares classes asked for with those that a classifier says of samples.

  Chance is that of Cohen's kappa (1960,
  https://doi.org/10.1177/001316446002000104), sum_k p(asked k) p(said k): what
  is expected of samples that do not depend on the class, even where all are of
  one class. Real images count in the mix of the classes asked for, see
  `share_in_mix`: classes of which there is none are left out. Intervals are
  Wilson's at 95 %; that of chance is left out.

  Args:
    asked: int [N], the classes asked for.
    said: int [N], the classes said, -1 where none is.
    right: [K], how many real images of each class are given it.
    count: [K], of how many.

  Raises:
    ValueError: no sample, or arrays whose sizes or classes do not fit.
  """
  asked, said, count = map(np.asarray, (asked, said, count))
  num = len(count)
  check(asked.shape == said.shape == (asked.size,) and asked.size > 0,
        'agreement', 'asked and said must be [N] with N >= 1',
        f'{asked.shape} and {said.shape}')
  check(asked.min() >= 0 and max(asked.max(), said.max()) < num, 'agreement',
        f'classes must be below the {num} of count',
        f'{asked.min()} to {max(asked.max(), said.max())}')
  wanted, found = (np.bincount(x[x >= 0], minlength=num) / asked.size
                   for x in (asked, said))
  several = np.count_nonzero(wanted) > 1
  return Agreement(share(said == asked),
                   float(wanted @ found) if several else None,
                   share_in_mix(right, count, wanted))
