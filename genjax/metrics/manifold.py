"""Fidelity, coverage and copying, by nearest neighbours in feature space."""

from typing import NamedTuple

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive
from genjax.metrics.distances import as_rows
from genjax.metrics.distances import blocks


class Neighbours(NamedTuple):
  """Four shares, each near 1 for samples of the data's own law.

  `density` can exceed 1; it and `coverage` resist outliers, which inflate
  precision and recall.
  """

  precision: float  # of samples within a ball around some data
  recall: float  # of data within a ball around some sample
  density: float  # balls around data that hold a sample, per k
  coverage: float  # of data with a sample in their ball


def precision_recall(
    samples: np.ndarray, data: np.ndarray, *, k: int = 5, block: int = 256
) -> Neighbours:
  """Precision, recall, density and coverage of features.

  Kynkaanniemi et al., arXiv:1904.06991, eq. 1 and 2; Naeem et al.,
  arXiv:2002.09797, eq. 3 and 4. A point's ball reaches to its k-th nearest
  neighbour in its own set, itself left out, and holds its surface: copies are
  in each other's. NaN where a feature is not finite.

  Args:
    samples: [N, D].
    data: [M, D].
    k: neighbours, the same for all four.
    block: rows held against all at a time.

  Raises:
    ValueError: features of unequal size, or no more than k rows.
  """
  where = 'precision_recall'
  check(samples.ndim == data.ndim == 2 and samples.shape[1] == data.shape[1],
        where, 'samples and data must be [N, D] and [M, D]',
        f'{samples.shape} and {data.shape}')
  check_positive(where, 'k', k)
  check(min(len(samples), len(data)) > k, where,
        f'samples and data must hold more than k = {k} rows',
        f'{len(samples)} and {len(data)}')
  if not all(np.isfinite(np.asarray(x, float)).all() for x in (samples, data)):
    return Neighbours(*[np.nan] * 4)
  data_radii, sample_radii = (_radii(x, k, block) for x in (data, samples))
  held = np.zeros(len(data), int)  # samples in each ball around data
  inside, reached = [], []
  for rows, squared, error, sharpen in blocks(samples, data, block):
    sharpen((np.abs(squared - data_radii) <= error)
            | (np.abs(squared - sample_radii[rows, None]) <= error))
    within = squared <= data_radii
    held += within.sum(0)
    inside.append(within.any(1))
    reached.append((squared <= sample_radii[rows, None]).any(0))
  return Neighbours(
      precision=float(np.mean(np.concatenate(inside))),
      recall=float(np.mean(np.any(reached, axis=0))),
      density=float(held.sum() / (k * len(samples))),
      coverage=float(np.mean(held > 0)))


def _radii(x: np.ndarray, k: int, block: int) -> np.ndarray:
  """Squared distance of each row to its k-th nearest other row: [N]."""
  radii = []
  for _, squared, error, sharpen in blocks(x, x, block):
    # The nearest is the row itself. The k-th is no farther than this:
    most = np.partition(squared + error, k, axis=1)[:, k:k + 1]
    sharpen(squared - error <= most)
    # A view of the column would keep its whole block alive.
    radii.append(np.partition(squared, k, axis=1)[:, k].copy())
  return np.concatenate(radii)


def nearest_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Euclidean distance of each row of a [N, ...] to the nearest of b: [N].

  0 for copies. NaN for a row that is not finite, and for all if one of b is.

  Raises:
    ValueError: rows of unequal size, or none in b.
  """
  a, b = as_rows(a), as_rows(b)
  check(a.shape[1] == b.shape[1] and len(b) > 0, 'nearest_distances',
        'a and b must be [N, D] and [M, D], M > 0', f'{a.shape} and {b.shape}')
  nearest = [np.zeros(0)]
  for _, squared, error, sharpen in blocks(a, b):
    sharpen(squared - error <= (squared + error).min(1, keepdims=True))
    nearest.append(squared.min(1))
  return np.sqrt(np.concatenate(nearest))


def nearest_neighbour_ratio(
    samples: np.ndarray, train: np.ndarray, test: np.ndarray
) -> float:
  """Mean distance of samples to their nearest training point, over test's.

  1: samples are as far from the training set as fresh data is; below 1 they
  copy it. Infinite (NaN for copies) where all test points are training points.

  Raises:
    ValueError: a set without an example, or examples of unequal size.
  """
  check(min(len(samples), len(test)) > 0, 'nearest_neighbour_ratio',
        'samples and test must hold an example',
        f'{len(samples)} and {len(test)}')
  return _ratio(nearest_distances(samples, train).mean(),
                nearest_distances(test, train).mean())


def _ratio(a: float, b: float) -> float:
  """a / b, by the rules of floats where b is 0."""
  with np.errstate(divide='ignore', invalid='ignore'):
    return float(np.divide(a, b))


def spread_within_classes(x: np.ndarray, labels: np.ndarray) -> float:
  """Mean squared distance of two draws from a class's members, mean of classes.

  Twice the plug-in total variance of each class (drawing with replacement),
  hence low by a factor 1 - 1/n for n members. NaN where a member is not finite.

  Raises:
    ValueError: a class of one member, or not a label [N] for each of x [N].
  """
  x, labels = as_rows(x).astype(np.float64), np.asarray(labels)
  x[~np.isfinite(x)] = np.nan
  check(labels.shape == x.shape[:1] and len(x) > 0, 'spread_within_classes',
        'x and labels must be [N, ...] and [N], N > 0',
        f'{x.shape} and {labels.shape}')
  spreads = []
  for label in np.unique(labels):
    members = x[labels == label]
    check(len(members) >= 2, 'spread_within_classes',
          f'class {label} needs 2 members', len(members))
    spreads.append(2 * members.var(0).sum())
  return float(np.mean(spreads))


def diversity(
    samples: np.ndarray, labels: np.ndarray, test: np.ndarray,
    test_labels: np.ndarray
) -> float:
  """`spread_within_classes` of the samples over that of real test data."""
  return _ratio(spread_within_classes(samples, labels),
                spread_within_classes(test, test_labels))
