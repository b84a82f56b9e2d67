"""Distances between distributions from the distances between their samples."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check


def energy_distance(a: np.ndarray, b: np.ndarray, *, block: int = 1000) -> float:
  """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| of points [N, D], [M, D].

  Szekely & Rizzo 2013; 0 only for equal laws. Unbiased (pairs of a point with
  itself are left out), so that it can be slightly negative, and it scatters
  with the sample sizes, which are to be stated beside it.
  """
  check(a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1], 'energy_distance',
        'a and b must be [N, D] and [M, D]', f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) >= 2, 'energy_distance',
        'a and b must hold 2 points or more', f'{len(a)} and {len(b)}')
  n, m = len(a), len(b)
  cross = _sum_of_distances(a, b, block) / (n * m)
  within_a = _sum_of_distances(a, a, block) / (n * (n - 1))
  within_b = _sum_of_distances(b, b, block) / (m * (m - 1))
  return 2 * cross - within_a - within_b


@jax.jit
def _block_sum(a, b):
  squared = jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1)
  return jnp.sum(jnp.sqrt(squared), axis=1)


def _sum_of_distances(a: np.ndarray, b: np.ndarray, block: int) -> float:
  return sum(
      float(np.sum(np.asarray(_block_sum(a[i:i + block], b), np.float64)))
      for i in range(0, len(a), block))
