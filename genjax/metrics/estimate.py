"""How sure a metric is: intervals of any statistic, and of a share."""

import math
from typing import Callable, NamedTuple

import numpy as np

from genjax.checks import check

_NORMAL_95 = 1.959963984540054


class Estimate(NamedTuple):
  """A metric of finite samples, with the ends of its 95 % interval."""

  value: float
  low: float
  high: float


def by_halves(
    statistic: Callable[..., float], *sizes: int, num_halves: int = 20,
    seed: int = 0
) -> Estimate:
  """A statistic of all rows, with an interval from random halves of them.

  The delete-half jackknife (Shao and Wu 1989): over halves drawn without
  replacement a statistic that is close to linear in the rows varies as the
  whole does over fresh sets. (A bootstrap repeats rows, by which distances
  between distributions grow.) The interval is value +- 1.96 of their standard
  deviations; what bias the whole has is in it.

  Args:
    statistic: takes an index array a set, int [n], to a float.
    *sizes: number of rows of each set.
    num_halves: how often the sets are halved.
    seed: of the halves.

  Raises:
    ValueError: a set of fewer than 4 rows, or fewer than 2 halves.
  """
  for size in sizes:
    check(size >= 4, 'by_halves', 'a set must hold 4 rows or more', size)
  check(num_halves >= 2, 'by_halves', 'num_halves must be 2 or more',
        num_halves)
  value = float(statistic(*(np.arange(size) for size in sizes)))
  rng = np.random.default_rng(seed)
  halves = [statistic(*(np.sort(rng.permutation(size)[:size // 2])
                        for size in sizes)) for _ in range(num_halves)]
  reach = _NORMAL_95 * float(np.std(halves, ddof=1))
  return Estimate(value, value - reach, value + reach)


def share(right: np.ndarray) -> Estimate:
  """Share of right examples [N], with its 95 % interval of Wilson.

  Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953: the shares from
  which this one is no more than 1.96 of their own standard deviations away. It
  has a width where all N are right, and stays within [0, 1].

  Raises:
    ValueError: no example.
  """
  num = len(right)
  check(num > 0, 'share', 'right must hold an example', 'none')
  z2 = _NORMAL_95**2
  value = float(np.mean(right))
  centre = (value + z2 / (2 * num)) / (1 + z2 / num)
  reach = math.sqrt(z2 * value * (1 - value) / num
                    + (z2 / (2 * num))**2) / (1 + z2 / num)
  return Estimate(value, max(centre - reach, 0.0), min(centre + reach, 1.0))
