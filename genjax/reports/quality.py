"""How good digits are that a model drew, by five measures."""

from typing import Mapping

import numpy as np

from genjax.data import embedded
from genjax.metrics import classification
from genjax.metrics import frechet
from genjax.metrics import manifold
from genjax.reports.draws import draw
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import Table
from genjax.runs.task import Run


def judge(images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
  """Five measures of digits uint8 [N, 8, 8, 1] against the real ones.

  Pixels are the set's grey levels 0..16. `recognised` and `cas` are by an SVC
  that never saw the model; `fd_pixels` is to the 297 of the test split.
  """
  train, test = (embedded.digits(split).arrays for split in ('train', 'test'))
  x, real, held = (
      embedded.digits_to_levels(a).reshape(len(a), -1)
      for a in (images, train['image'], test['image']))
  return {
      'recognised': classification.recognition_rate(
          x, labels, real, train['label']),
      'cas': classification.classification_accuracy_score(
          x, labels, held, test['label']),
      'fd_pixels': frechet.frechet_distance(x, held),
      'nn_ratio': manifold.nearest_neighbour_ratio(x, real, held),
      'diversity': manifold.diversity(x, labels, held, test['label']),
  }


def table(rows: Mapping[str, Mapping[str, float]]) -> Table:
  """The measures, a row a generator."""
  names = list(next(iter(rows.values())))
  return make_table(['digits', *(Column(name, digits='.3f') for name in names)],
                    [(row, *values.values()) for row, values in rows.items()])


def real_floor() -> dict[str, float]:
  """The measures of the training images themselves: what copying scores."""
  train = embedded.digits('train').arrays
  return judge(train['image'], train['label'])


def draw_like_train(run: Run, seed: int) -> tuple[np.ndarray, np.ndarray]:
  """1500 digits uint8 with the labels of the training split, and the labels."""
  label = embedded.digits('train').arrays['label']
  return draw('run', run, len(label), label, seed), label
