"""Decays of averages of params, each a function of the number of updates.

Beside the usual exponential average there are those of a power of the number
of updates (EDM2, arXiv:2312.02696, section 3.1). Snapshots of two of these give
any other afterwards: see `combination`.
"""

import math
from typing import Iterable, Mapping, Protocol, Sequence

import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.types import Array

_POWER = 'ema:'

WIDEST = 0.28  # of a power average: that of gamma = 0 is 12^(-1/2)


class Decay(Protocol):
  """The decay of an average at its n-th update, n = 1, 2, ...: in [0, 1]."""

  def __call__(self, updates: Array) -> Array:
    ...


def ema(decay: float) -> Decay:
  """Exponential moving average: min(decay, (1 + n) / (10 + n)).

  The ramp of TensorFlow's `ExponentialMovingAverage(num_updates)` and of
  score_sde (arXiv:2011.13456), by which early averages forget the initial
  parameters.

  Raises:
    ValueError: if decay is not in [0, 1].
  """
  check_in_range('ema', 'decay', decay, 0.0, 1.0)
  return lambda updates: jnp.minimum(
      decay, (1.0 + updates) / (10.0 + updates))


def power(width: float) -> Decay:
  """Power-function average: (1 - 1 / n)^(gamma + 1).

  After n updates the params after the k-th, k = 1..n, weigh
  (k / n)^(gamma + 1) - ((k - 1) / n)^(gamma + 1): the integral over [k - 1, k]
  of the profile of EDM2 (arXiv:2312.02696, section 3.1). Initial params weigh
  0.

  Args:
    width: standard deviation of the profile as a share of the training so far
      (sigma_rel); see `exponent`.

  Raises:
    ValueError: if width is not in (0, WIDEST].
  """
  gamma = exponent(width)
  return lambda updates: jnp.exp(
      (gamma + 1.0) * jnp.log1p(-1.0 / jnp.asarray(updates, jnp.float32)))


def exponent(width: float) -> float:
  """The gamma of the profile t^gamma whose relative width is `width`.

  width^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3)): arXiv:2312.02696,
  algorithm 2.

  Raises:
    ValueError: if width is not in (0, WIDEST].
  """
  check(0 < width <= WIDEST, 'power', f'width must be above 0 and at most '
        f'{WIDEST}', width)
  size = width**-2
  roots = np.roots([1.0, 7.0, 16.0 - size, 12.0 - size])
  return float(roots.real.max())


def name_of(width: float) -> str:
  """What a power average of this width is called: ema:0.05."""
  return f'{_POWER}{width:g}'


def named(decay: float, widths: Sequence[float] = ()) -> Mapping[str, Decay]:
  """The average 'ema', and power averages by `name_of` their widths."""
  return {'ema': ema(decay), **{name_of(w): power(w) for w in widths}}


def widths_of(names: Iterable[str]) -> dict[str, float]:
  """The power averages among those of `named`, and their widths."""
  return {name: float(name[len(_POWER):]) for name in names
          if name.startswith(_POWER)}


def combination(
    updates: np.ndarray, widths: np.ndarray, wanted: float, at: int
) -> np.ndarray:
  """Coefficients of snapshots of which the sum is nearest to another average.

  Least squares between the profiles over [0, at] (EDM2, arXiv:2312.02696,
  section 3.2 and algorithm 3), among combinations whose
  coefficients sum to 1, by which params that stand still are met exactly. The
  average of a trajectory theta then errs by at most the norm of the difference
  of the profiles times that of theta - c over [0, at], for any c.

  Args:
    updates: [S], of each snapshot, at most `at` and at least one.
    widths: [S], of each snapshot's power average.
    wanted: width of the average that is asked for.
    at: after how many updates.

  Returns:
    [S] float64.

  Raises:
    ValueError: no snapshot, or a width that is not in (0, WIDEST].
  """
  check(len(updates) >= 1, 'combination', 'updates must hold a snapshot', '[]')
  t = np.asarray(updates, np.float64)
  gamma = np.array([exponent(width) for width in widths])
  gram = overlap(t[:, None], gamma[:, None], t, gamma)
  goal = overlap(t, gamma, float(at), exponent(wanted))
  # Of unit norm, so that the smallest and the largest are as well conditioned.
  size = np.sqrt(np.diag(gram))
  system = np.zeros((len(t) + 1,) * 2)
  system[:-1, :-1] = gram / np.outer(size, size)
  system[:-1, -1] = system[-1, :-1] = size.min() / size
  found = np.linalg.lstsq(
      system, np.append(goal / size, size.min()), rcond=1e-13)[0][:-1] / size
  return found / math.fsum(found)


def overlap(
    t_a: np.ndarray, gamma_a: np.ndarray, t_b: np.ndarray | float,
    gamma_b: np.ndarray | float
) -> np.ndarray:
  """Integral of a product of profiles (gamma + 1) tau^gamma / t^(gamma + 1).

  Each is 0 beyond its own t; arXiv:2312.02696, algorithm 3.
  """
  earlier = t_a < t_b
  ratio = np.where(earlier, t_a / t_b, t_b / t_a)
  power_of = np.where(earlier, gamma_b, gamma_a)
  return (gamma_a + 1) * (gamma_b + 1) * ratio**power_of / (
      (gamma_a + gamma_b + 1) * np.maximum(t_a, t_b))
