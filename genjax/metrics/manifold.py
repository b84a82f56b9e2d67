"""Whether samples copy the training set, and whether they cover a class."""

import numpy as np

from genjax.checks import check


def nearest_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Euclidean distance of each row of a [N, D] to the nearest of b: [N]."""
  a, b = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (a, b))
  squared = (np.sum(a * a, 1)[:, None] + np.sum(b * b, 1) - 2 * a @ b.T)
  return np.sqrt(np.clip(squared.min(1), 0, None))


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
  x = np.asarray(x, np.float64).reshape(len(x), -1)
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
  return (spread_within_classes(samples, labels)
          / spread_within_classes(test, test_labels))
