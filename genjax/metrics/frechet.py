"""Frechet distance between the Gaussians of two sets of features."""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from genjax.checks import check
from genjax.checks import check_rank
from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import Estimate


class Moments(NamedTuple):
  """Mean [D] and unbiased covariance [D, D] of features, float64."""

  mean: np.ndarray
  cov: np.ndarray


def moments(
    x: np.ndarray, rows: np.ndarray | None = None, *, block: int = 4096
) -> Moments:
  """Moments of features x [N, D], or of some rows [n] of them, by blocks."""
  rows = np.arange(len(x)) if rows is None else rows
  total = np.zeros(x.shape[1])
  for start in range(0, len(rows), block):
    total += x[rows[start:start + block]].sum(0, dtype=np.float64)
  mean = total / len(rows)
  scatter = np.zeros((x.shape[1],) * 2)
  for start in range(0, len(rows), block):
    centred = x[rows[start:start + block]] - mean
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
  exception.

  Args:
    mean_a, mean_b: [D].
    cov_a, cov_b: [D, D].
  """
  values, basis = scipy.linalg.eigh(cov_a)
  root_a = basis * np.sqrt(np.clip(values, 0, None)) @ basis.T
  values = scipy.linalg.eigvalsh(root_a @ cov_b @ root_a)
  cross = np.sum(np.sqrt(np.clip(values, 0, None)))
  shift = np.sum(np.square(mean_a - mean_b))
  return float(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
  """Squared Frechet distance of features a [N, D] and b [M, D], plug-in.

  Biased upwards by the finite samples: compare at equal sizes, and against the
  floor of real data against real data. `frechet_distance_infinity` takes the
  bias away.
  """
  _check_features('frechet_distance', a, b, least=2)
  return frechet_gaussians(*moments(a), *moments(b))


def frechet_distance_infinity(
    a: np.ndarray, b: np.ndarray, *, num_sizes: int = 8, num_halves: int = 20,
    seed: int = 0
) -> Estimate:
  """Squared Frechet distance extrapolated to infinitely many rows.

  The bias of the plug-in falls as 1 / n, so that a line through distances at
  several n, over 1 / n, meets its axis at an effectively unbiased value: Chong
  and Forsyth, arXiv:1911.07023. Here both sets are thinned together, because
  both are finite. Negative values are the noise of a distance near zero.

  Args:
    a: [N, D] features.
    b: [M, D] features.
    num_sizes: subsets, from half of the smaller set to all of it.
    num_halves: for the interval, see `by_halves`.
    seed: of the subsets.

  Raises:
    ValueError: sets of another size, or too small: half of the smaller must
      hold more rows than there are features, or covariances are singular.
  """
  where = 'frechet_distance_infinity'
  least = 4 * (a.shape[-1] + 1)  # halves of halves
  _check_features(where, a, b, least=least)
  check(num_sizes >= 2, where, 'num_sizes must be 2 or more', num_sizes)

  def statistic(rows_a, rows_b):
    rng = np.random.default_rng(seed)
    most = min(len(rows_a), len(rows_b))
    sizes = np.linspace(most // 2, most, num_sizes).round().astype(int)
    distances = []
    for size in sizes:
      subsets = (rng.permutation(rows)[:size] for rows in (rows_a, rows_b))
      distances.append(frechet_gaussians(*(
          part for x, rows in zip((a, b), subsets)
          for part in moments(x, rows))))
    # At 1 / n = 0; all sizes are about equally noisy per row.
    return np.polyfit(1 / sizes, distances, 1)[1]

  return by_halves(statistic, len(a), len(b), num_halves=num_halves, seed=seed)


def _check_features(where: str, a: np.ndarray, b: np.ndarray, least: int):
  check_rank(where, 'a', a, 2)
  check(a.shape[1:] == b.shape[1:], where, 'a and b must have one feature size',
        f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) >= least, where,
        f'a and b must hold {least} rows or more', f'{a.shape} and {b.shape}')
