"""Frechet distance between the Gaussians of two sets of features."""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from genjax.checks import check
from genjax.checks import check_rank
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import jackknife


class Moments(NamedTuple):
  """Mean [D] and unbiased covariance [D, D] of features, float64."""

  mean: np.ndarray
  cov: np.ndarray


def moments(
    x: np.ndarray, rows: np.ndarray | None = None, *, block: int = 4096
) -> Moments:
  """Moments of features x [N, D], or of some rows [n] of them, by blocks.

  Raises:
    ValueError: fewer than 2 rows.
  """
  x = np.asarray(x)
  check_rank('moments', 'x', x, 2)
  rows = np.arange(len(x)) if rows is None else rows
  check(len(rows) >= 2, 'moments', 'x must hold 2 rows or more', len(rows))
  total = np.zeros(x.shape[1])
  for start in range(0, len(rows), block):
    total += x[rows[start:start + block]].astype(np.float64).sum(0)
  mean = total / len(rows)
  scatter = np.zeros((x.shape[1],) * 2)
  with np.errstate(invalid='ignore'):  # NaN of infinities, as it should be
    for start in range(0, len(rows), block):
      centred = x[rows[start:start + block]].astype(np.float64) - mean
      scatter += centred.T @ centred
  return Moments(mean, scatter / (len(rows) - 1))


def frechet_gaussians(
    mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray,
    cov_b: np.ndarray
) -> float:
  """Squared Frechet (2-Wasserstein) distance of two Gaussians.

  |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)): Dowson & Landau 1982. The
  trace of the root is that of the symmetric (C_a^(1/2) C_b C_a^(1/2))^(1/2), by
  eigenvalues, so that singular covariances (a pixel that never varies) are no
  exception. Never negative; NaN where a moment is not finite.

  Args:
    mean_a, mean_b: [D].
    cov_a, cov_b: [D, D].
  """
  if not all(np.isfinite(m).all() for m in (mean_a, cov_a, mean_b, cov_b)):
    return float('nan')
  values, basis = scipy.linalg.eigh(cov_a)
  root_a = basis * np.sqrt(np.clip(values, 0, None)) @ basis.T
  values = scipy.linalg.eigvalsh(root_a @ cov_b @ root_a)
  cross = np.sum(np.sqrt(np.clip(values, 0, None)))
  shift = np.sum(np.square(mean_a - mean_b))
  distance = shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross
  return float(np.maximum(distance, 0))  # but for rounding it is not negative


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
  """Squared Frechet distance of features a [N, D] and b [M, D], plug-in.

  Biased upwards by the finite samples: compare at equal sizes, and against the
  floor of real data against real data. `frechet_distance_infinity` takes the
  bias away. NaN where a feature is not finite.

  Raises:
    ValueError: sets of another feature size, or of fewer than 2 rows.
  """
  _check_features('frechet_distance', a, b, least=2)
  return frechet_gaussians(*moments(a), *moments(b))


def frechet_distance_infinity(
    a: np.ndarray, b: np.ndarray, *, num_groups: int = 20, seed: int = 0
) -> Estimate:
  """Squared Frechet distance extrapolated to infinitely many rows.

  The bias of the plug-in falls as 1 / n, so that a line through distances at
  several n, over 1 / n, meets its axis at an effectively unbiased value: Chong
  and Forsyth, arXiv:1911.07023. Here the line is that of the `jackknife`, not
  through random subsets down to a few rows: these add noise of their own, and
  their distances bend where rows are not many more than features. Negative
  values are the noise of a distance near zero.

  Args:
    a: [N, D] features.
    b: [M, D] features.
    num_groups: each left out once, at the cost of a distance.
    seed: of the groups.

  Raises:
    ValueError: sets of another feature size, or of fewer rows than groups or
      than 2 (D + 1), where the bias does not fall as 1 / n yet.
  """
  _check_features('frechet_distance_infinity', a, b,
                  least=max(num_groups, 2 * (a.shape[-1] + 1)))

  def statistic(rows_a, rows_b):
    return frechet_gaussians(*moments(a, rows_a), *moments(b, rows_b))

  return jackknife(statistic, len(a), len(b), num_groups=num_groups, seed=seed)


def _check_features(where: str, a: np.ndarray, b: np.ndarray, least: int):
  check_rank(where, 'a', a, 2)
  check(a.shape[1:] == b.shape[1:], where, 'a and b must have one feature size',
        f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) >= least, where,
        f'a and b must hold {least} rows or more', f'{a.shape} and {b.shape}')
