"""Distances between distributions from the distances between their samples."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check


def energy_distance(
    a: np.ndarray, b: np.ndarray, *, block: int = 1000
) -> float:
  """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| of two point sets.

  Szekely & Rizzo 2013, as the V-statistic: over all pairs, a point with itself
  included, hence never negative, and 0 only for equal sets. Two draws of one
  law have a positive distance of order 1/N + 1/M: state the sizes, and compare
  with the distance of fresh draws of those sizes.

  Args:
    a: [N, D].
    b: [M, D].
    block: how many points of the first set are held against all at a time.
  """
  check(a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1], 'energy_distance',
        'a and b must be [N, D] and [M, D]', f'{a.shape} and {b.shape}')
  return (2 * _mean_distance(a, b, block) - _mean_distance(a, a, block)
          - _mean_distance(b, b, block))


@jax.jit
def _block_sum(a, b):
  squared = jnp.sum(jnp.square(a[:, None] - b[None]), axis=-1)
  return jnp.sum(jnp.sqrt(squared), axis=1)


def _mean_distance(a: np.ndarray, b: np.ndarray, block: int) -> float:
  total = sum(
      float(np.sum(np.asarray(_block_sum(a[i:i + block], b), np.float64)))
      for i in range(0, len(a), block))
  return total / (len(a) * len(b))
