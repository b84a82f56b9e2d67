"""How far a sum of independent draws is from a Gaussian, exactly.

Of draws from a lattice, low + step k for k = 0, 1, 2 ..., whose sums are on a
lattice too. The distance is Kolmogorov's: the largest difference between the
cdf of the sum, standardised, and that of the Gaussian.
"""

import math
from typing import NamedTuple, Sequence

import numpy as np
from scipy import special

from genjax.checks import check

# Its factor that is proved: Shevtsova, arXiv:1111.6554.
BERRY_ESSEEN = 0.4748


class Lattice(NamedTuple):
  """A number drawn at random: low + step k with probability pmf[k]."""

  low: int
  step: int
  pmf: np.ndarray  # float64 [K]; the first and the last are positive
  mean: float
  scale: float  # standard deviation
  skewness: float
  third: float  # E |x - mean|^3 / scale^3


class Sum(NamedTuple):
  """A sum of n draws, standardised: (sum - n mean) / (scale sqrt(n))."""

  z: np.ndarray  # [K], equally far apart and increasing
  pmf: np.ndarray  # [K]


def make_lattice(
    values: Sequence[int], probabilities: Sequence[float]
) -> Lattice:
  """The law of a number that takes one of `values`, which increase.

  Raises:
    ValueError: these are no probabilities, or there is nothing random.
  """
  where, p = 'probabilities', np.asarray(probabilities, np.float64)
  check(bool(np.all(p >= 0)) and abs(p.sum() - 1) < 1e-6, where,
        'must be 0 or more, and sum to 1', f'a sum of {p.sum():g}')
  possible = np.asarray(values)[p > 0]
  check(len(possible) > 1, where, 'two or more must be positive',
        len(possible))
  step = int(np.gcd.reduce(np.diff(possible)))
  pmf = np.zeros((possible[-1] - possible[0]) // step + 1)
  pmf[(possible - possible[0]) // step] = p[p > 0] / p.sum()
  x = possible[0] + step * np.arange(len(pmf))
  mean = pmf @ x
  scale = math.sqrt(pmf @ (x - mean)**2)
  z = (x - mean) / scale
  return Lattice(int(possible[0]), step, pmf, float(mean), scale,
                 float(pmf @ z**3), float(pmf @ np.abs(z)**3))


def sums(law: Lattice, most: int) -> dict[int, Sum]:
  """The sum of n draws, for n = 1, 2, 4, 8 ... up to `most`.

  By convolution of each with itself, where nothing cancels: exact to rounding.
  """
  n, pmf, found = 1, law.pmf, {}
  while n <= most:
    total = n * law.low + law.step * np.arange(len(pmf))
    found[n] = Sum(
        (total - n * law.mean) / (law.scale * math.sqrt(n)), pmf)
    n, pmf = 2 * n, np.convolve(pmf, pmf)
  return found


def kolmogorov_distance(total: Sum) -> float:
  """Largest difference of its cdf to the Gaussian's.

  Both ends of every jump are looked at, so it is exact.
  """
  at_most, gaussian = np.cumsum(total.pmf), special.ndtr(total.z)
  return float(max(np.max(np.abs(at_most - gaussian)),
                   np.max(np.abs(at_most - total.pmf - gaussian))))


def berry_esseen(law: Lattice, n: int) -> float:
  """The distance is at most this, by the Berry-Esseen theorem."""
  return BERRY_ESSEEN * law.third / math.sqrt(n)


def esseen_limit(law: Lattice, n: int) -> float:
  """The distance approaches this: Esseen (1956), by skewness and jumps.

  (|skewness| + 3 step / scale) / (6 sqrt(2 pi n)).
  """
  return ((abs(law.skewness) + 3 * law.step / law.scale)
          / (6 * math.sqrt(2 * math.pi * n)))
