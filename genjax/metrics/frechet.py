"""Frechet distance between the Gaussians of two sets of features."""

import numpy as np
import scipy.linalg

from genjax.checks import check
from genjax.checks import check_rank


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
  floor of real data against real data.
  """
  check_rank('frechet_distance', 'a', a, 2)
  check(a.shape[1:] == b.shape[1:], 'frechet_distance',
        'a and b must have one feature size', f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) >= 2, 'frechet_distance',
        'a and b must hold 2 rows or more', f'{a.shape} and {b.shape}')
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  # np.cov of a single feature is a scalar.
  cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
  return frechet_gaussians(a.mean(0), cov_a, b.mean(0), cov_b)
