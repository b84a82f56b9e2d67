"""What is close by a distance between examples: neighbours, and reactions."""

from typing import Mapping

import numpy as np

from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import Estimate


def nearest(table: np.ndarray, k: int) -> np.ndarray:
  """Columns of the k least of each row of [N, M], the least first: [N, k]."""
  return np.argsort(table, axis=1, kind='stable')[:, :k]


def vote(labels: np.ndarray) -> np.ndarray:
  """The commonest label of each row of [N, k], the least of equals: [N]."""
  counts = np.stack([np.sum(labels == c, axis=1)
                     for c in range(labels.max() + 1)], axis=1)
  return counts.argmax(1)


def reactions(
    table: np.ndarray, changed: Mapping[str, np.ndarray], same: np.ndarray
) -> dict[str, Estimate]:
  """Mean distances of test examples, over the mean to those of other classes.

  Args:
    table: distances [N, M] of test examples to training examples.
    changed: name of a change -> distances [N] of test examples to themselves
      after it.
    same: whether the two are of one class, [N, M].
  """
  # Sums by row: halves of the test examples are then halves of these.
  others, count = np.sum(table * ~same, 1), np.sum(~same, 1)
  rows = {name: (d, np.ones(len(d))) for name, d in changed.items()}
  rows['nearest training image'] = (table.min(1), np.ones(len(table)))
  rows['same class, mean'] = (np.sum(table * same, 1), np.sum(same, 1))

  def ratio(total, number):
    return by_halves(lambda i: float(
        total[i].sum() / number[i].sum() * count[i].sum() / others[i].sum()),
                     len(table))

  return {name: ratio(*sums) for name, sums in rows.items()}
