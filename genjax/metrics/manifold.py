"""Fidelity, coverage and copying, by nearest neighbours in feature space."""

from typing import Iterator, NamedTuple

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive


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
  neighbour in its own set, itself left out, and holds its surface.

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
  data_radii, sample_radii = (_radii(x, k, block) for x in (data, samples))
  held = np.zeros(len(data), int)  # samples in each ball around data
  inside, reached = [], []
  for rows, squared in squared_distances(samples, data, block):
    within = squared <= data_radii
    held += within.sum(0)
    inside.append(within.any(1))
    reached.append((squared <= sample_radii[rows, None]).any(0))
  return Neighbours(
      precision=float(np.mean(np.concatenate(inside))),
      recall=float(np.mean(np.any(reached, axis=0))),
      density=float(held.sum() / (k * len(samples))),
      coverage=float(np.mean(held > 0)))


def squared_distances(
    a: np.ndarray, b: np.ndarray, block: int = 256
) -> Iterator[tuple[slice, np.ndarray]]:
  """Squared distances of a [N, D] to b [M, D], as (rows of a, [n, M])."""
  b = np.asarray(b, np.float64)
  norms = np.sum(b * b, 1)
  for start in range(0, len(a), block):
    part = np.asarray(a[start:start + block], np.float64)
    squared = np.sum(part * part, 1)[:, None] + norms - 2 * part @ b.T
    yield slice(start, start + len(part)), np.maximum(squared, 0)


def _radii(x: np.ndarray, k: int, block: int) -> np.ndarray:
  """Squared distance of each row to its k-th nearest other row: [N]."""
  # The nearest is the row itself, at a distance of zero up to rounding. A view
  # of the column would keep its whole block alive.
  return np.concatenate([np.partition(squared, k, axis=1)[:, k].copy()
                         for _, squared in squared_distances(x, x, block)])


def nearest_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Euclidean distance of each row of a [N, ...] to the nearest of b: [N]."""
  a, b = (x.reshape(len(x), -1) for x in (a, b))
  return np.sqrt(np.concatenate([
      squared.min(1) for _, squared in squared_distances(a, b)]))


def nearest_neighbour_ratio(
    samples: np.ndarray, train: np.ndarray, test: np.ndarray
) -> float:
  """Mean distance of samples to their nearest training point, over test's.

  1: samples are as far from the training set as fresh data is; below 1 they
  copy it.
  """
  return float(nearest_distances(samples, train).mean()
               / nearest_distances(test, train).mean())


def spread_within_classes(x: np.ndarray, labels: np.ndarray) -> float:
  """Mean squared distance of two draws from a class's members, mean of classes.

  Twice the plug-in total variance of each class (drawing with replacement),
  hence low by a factor 1 - 1/n for n members.
  """
  x = x.reshape(len(x), -1)
  spreads = []
  for label in np.unique(labels):
    members = x[labels == label]
    check(len(members) >= 2, 'spread_within_classes',
          f'class {label} needs 2 members', len(members))
    spreads.append(2 * members.var(0, dtype=np.float64).sum())
  return float(np.mean(spreads))


def diversity(
    samples: np.ndarray, labels: np.ndarray, test: np.ndarray,
    test_labels: np.ndarray
) -> float:
  """`spread_within_classes` of the samples over that of real test data."""
  return (spread_within_classes(samples, labels)
          / spread_within_classes(test, test_labels))
