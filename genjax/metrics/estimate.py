"""How sure a metric is: intervals of any statistic, and of a share."""

import math
from typing import Callable, NamedTuple

import numpy as np
import scipy.special

from genjax.checks import check

_Z2 = 1.959963984540054**2  # of a normal's 95 %


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
  between distributions grow.) The interval is value +- t of their standard
  deviations, with Student's t of num_halves - 1 degrees; what bias the whole
  has is in it.

  Args:
    statistic: takes an index array a set, int [n], to a float.
    *sizes: number of rows of each set.
    num_halves: how often the sets are halved.
    seed: of the halves.

  Raises:
    ValueError: a set of fewer than 4 rows, or fewer than 2 halves.
  """
  value, error = _of_halves(statistic, sizes, num_halves, seed)
  return _around(value, error, num_halves)


def share_by_halves(
    statistic: Callable[..., float], *sizes: int, num_halves: int = 20,
    seed: int = 0
) -> Estimate:
  """`by_halves` of a share in [0, 1], with an interval that stays in there.

  It is Wilson's, see `share`, for the number of independent examples of which
  a share has the variance of the halves, as in surveys of clusters (Korn and
  Graubard 1998), and no more than the smallest set has rows. It is too narrow
  where few rows decide, as the widest balls do for sets far apart.
  """
  value, error = _of_halves(statistic, sizes, num_halves, seed)
  num = float(min(sizes))
  middle = _middle(value, num)  # even for a share of 1 it has a variance
  if error != 0:
    # A NaN must come through, which Python's min would drop.
    num = float(np.minimum(num, middle * (1 - middle) / error**2))
  return _wilson(value, num)


def jackknife(
    statistic: Callable[..., float], *sizes: int, num_groups: int = 20,
    seed: int = 0
) -> Estimate:
  """The limit of a smooth statistic at infinitely many rows.

  Quenouille 1956: a bias that falls as 1 / n is taken away by a line through
  the statistic of all rows and that without a group of them, over 1 / n. Each
  group gives a pseudo-value; theirs are the mean and, by Tukey 1958, the
  interval of Student's t. It is wide rather than narrow where the statistic is
  not linear (Efron and Stein 1981), and no good for counts of neighbours.

  Args:
    statistic: takes an index array a set, int [n], to a float.
    *sizes: number of rows of each set.
    num_groups: into which every set is divided at random.
    seed: of the groups.

  Raises:
    ValueError: fewer than 2 groups, or a set of fewer rows.
  """
  check(num_groups >= 2, 'jackknife', 'num_groups must be 2 or more',
        num_groups)
  for size in sizes:
    check(size >= num_groups, 'jackknife',
          f'a set must hold num_groups = {num_groups} rows or more', size)
  rng = np.random.default_rng(seed)
  groups = [rng.permutation(size) % num_groups for size in sizes]
  # As Python's floats: of those of 32 bits the differences would be noise.
  whole = float(statistic(*(np.arange(size) for size in sizes)))
  pseudo = [num_groups * whole - (num_groups - 1) * float(statistic(
      *(np.flatnonzero(group != out) for group in groups)))
            for out in range(num_groups)]
  return of_mean(np.array(pseudo))


def of_mean(values: np.ndarray) -> Estimate:
  """Mean of independent values [N], with the interval of Student's t.

  Raises:
    ValueError: fewer than 2 values.
  """
  values = np.asarray(values).astype(np.float64)
  num = len(values)
  check(num >= 2, 'of_mean', 'values must hold 2 or more', num)
  error = float(np.std(values, ddof=1)) / math.sqrt(num)
  return _around(float(np.mean(values)), error, num)


def share(right: np.ndarray) -> Estimate:
  """Share of right examples [N], with its 95 % interval of Wilson.

  Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953: the shares from
  which this one is no more than 1.96 of their own standard deviations away. It
  has a width where all N are right, and stays within [0, 1].

  Raises:
    ValueError: no example.
  """
  check(len(right) > 0, 'share', 'right must hold an example', 'none')
  return _wilson(float(np.mean(np.asarray(right).astype(np.float64))),
                 len(right))


def share_in_mix(
    right: np.ndarray, count: np.ndarray, mix: np.ndarray
) -> Estimate:
  """Share of right examples of K groups, in another mix of the groups.

  The interval is that of `share` for (sum w)^2 / sum w^2 examples, those that
  weights w of examples leave (Kish 1965).

  Args:
    right: [K], how many are right.
    count: [K], of how many.
    mix: [K], shares of the groups, up to a factor. A group without an example
      is left out; NaN where all are.

  Raises:
    ValueError: arrays of other shapes.
  """
  right, count, mix = map(np.asarray, (right, count, mix))
  check(right.shape == count.shape == mix.shape == (right.size,),
        'share_in_mix', 'right, count and mix must be [K]',
        f'{right.shape}, {count.shape} and {mix.shape}')
  known = (count > 0) & (mix > 0)
  if not known.any():
    return Estimate(*[math.nan] * 3)
  right, count, mix = (x[known] for x in (right, count, mix))
  mix = mix / mix.sum()
  return _wilson(float(mix @ (right / count)),
                 float(1 / (mix**2 @ (1 / count))))


def _of_halves(statistic, sizes, num_halves, seed):
  """The statistic of all rows, and its standard deviation over halves."""
  for size in sizes:
    check(size >= 4, 'by_halves', 'a set must hold 4 rows or more', size)
  check(num_halves >= 2, 'by_halves', 'num_halves must be 2 or more',
        num_halves)
  value = float(statistic(*(np.arange(size) for size in sizes)))
  rng = np.random.default_rng(seed)
  halves = [float(statistic(*(np.sort(rng.permutation(size)[:size // 2])
                              for size in sizes))) for _ in range(num_halves)]
  return value, float(np.std(halves, ddof=1))


def _around(value, error, num):
  """value +- t standard errors, which `num` values told."""
  reach = float(scipy.special.stdtrit(num - 1, 0.975)) * error
  return Estimate(value, value - reach, value + reach)


def _middle(value, num):
  """The middle of Wilson's interval."""
  return (value + _Z2 / (2 * num)) / (1 + _Z2 / num)


def _wilson(value, num):
  centre = _middle(value, num)
  reach = math.sqrt(_Z2 * value * (1 - value) / num
                    + (_Z2 / (2 * num))**2) / (1 + _Z2 / num)
  # At a share of 0 or 1 an end is the share itself, but for rounding.
  return Estimate(value, min(max(centre - reach, 0.0), value),
                  max(min(centre + reach, 1.0), value))
