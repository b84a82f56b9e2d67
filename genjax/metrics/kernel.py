"""Distances between distributions from the distances between their samples."""

import math

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive
from genjax.metrics.distances import squared_distances


def energy_distance(
    a: np.ndarray, b: np.ndarray, *, block: int = 256
) -> float:
  """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| of two point sets.

  Szekely & Rizzo 2013, as the V-statistic: over all pairs, a point with itself
  included, hence never negative, and 0 (or a rounding of the mean distances)
  only for equal sets. Two draws of one law have a positive distance of order
  1/N + 1/M: state the sizes, and compare with the distance of fresh draws of
  those sizes. NaN where a coordinate is not finite.

  Args:
    a: [N, D].
    b: [M, D].
    block: how many points of the first set are held against all at a time.

  Raises:
    ValueError: points of unequal size, or a set without one.
  """
  a, b = np.asarray(a), np.asarray(b)
  check(a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1], 'energy_distance',
        'a and b must be [N, D] and [M, D]', f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) > 0, 'energy_distance',
        'a and b must hold a point', f'{a.shape} and {b.shape}')
  distance = (2 * _mean_distance(a, b, block) - _mean_distance(a, a, block)
              - _mean_distance(b, b, block))
  return float(np.maximum(distance, 0))  # but for rounding it is not negative


def _mean_distance(a: np.ndarray, b: np.ndarray, block: int) -> float:
  total = math.fsum(np.sum(np.sqrt(squared))
                    for _, squared in squared_distances(a, b, block))
  return total / (len(a) * len(b))


def kernel_distance(
    a: np.ndarray, b: np.ndarray, *, block: int = 256
) -> float:
  """Squared MMD of features a [N, D] and b [M, D], unbiased.

  KID (arXiv:1801.01401) with its polynomial kernel (x . y / D + 1)^3, over all
  pairs at once instead of in groups of 1000: the same expectation, less noise.
  It is 0 in expectation where the laws are equal, and then as often negative.
  NaN where a feature is not finite.

  Args:
    a: [N, D].
    b: [M, D].
    block: rows held against all at a time.

  Raises:
    ValueError: features of unequal size, or a set of fewer than 2 rows.
  """
  a, b = np.asarray(a), np.asarray(b)
  check_positive('kernel_distance', 'block', block)
  check(a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1], 'kernel_distance',
        'a and b must be [N, D] and [M, D]', f'{a.shape} and {b.shape}')
  check(min(len(a), len(b)) >= 2, 'kernel_distance',
        'a and b must hold 2 rows or more', f'{a.shape} and {b.shape}')

  if not all(np.isfinite(x.astype(np.float64)).all() for x in (a, b)):
    return float('nan')

  def kernel(products):
    k = products / a.shape[1] + 1
    return k * k * k  # k**3 takes as long as products of 2,000 features

  def total(x, y):
    y = y.astype(np.float64)
    return sum(
        float(np.sum(kernel(x[i:i + block].astype(np.float64) @ y.T)))
        for i in range(0, len(x), block))

  def within(x):  # without a row's kernel with itself
    own = np.sum(kernel(np.sum(np.square(x.astype(np.float64)), 1)))
    return (total(x, x) - own) / (len(x) * (len(x) - 1))

  return within(a) + within(b) - 2 * total(a, b) / (len(a) * len(b))
