"""Samples judged by a classifier that never saw the generative model."""

import numpy as np

from genjax.checks import check
from genjax.metrics.distances import as_rows


def _classifier(x: np.ndarray, labels: np.ndarray, gamma: float):
  from sklearn.svm import SVC  # slow to import, and needed here only

  return SVC(C=10, gamma=gamma).fit(x, labels)


def likeliest(logits: np.ndarray) -> np.ndarray:
  """Class of the largest of logits [..., K], or -1, which is none: int [...].

  -1 is where a logit is NaN, which numpy takes for the largest.
  """
  return np.where(np.isnan(logits).any(-1), -1, logits.argmax(-1))


def recognition_rate(
    samples: np.ndarray, labels: np.ndarray, train: np.ndarray,
    train_labels: np.ndarray
) -> float:
  """Share of samples that a classifier of real data gives the intended class.

  The classifier is scikit-learn's SVC(C=10, gamma='scale') on the pixels.
  Copies of the training set score 1: report a nearest-neighbour ratio beside.
  NaN where a pixel of either is not finite.

  Args:
    samples: [N, ...].
    labels: [N], the intended classes.
    train: [M, ...].
    train_labels: [M].

  Raises:
    ValueError: no example, examples of unequal size, a label too few or many,
      or training labels of one class only.
  """
  where = 'recognition_rate'
  x, seen = (as_rows(a).astype(np.float64) for a in (samples, train))
  labels, train_labels = np.asarray(labels), np.asarray(train_labels)
  check(x.shape[1] == seen.shape[1] and x.size > 0 and seen.size > 0, where,
        'samples and train must hold examples of one size',
        f'{x.shape} and {seen.shape}')
  check(labels.shape == x.shape[:1] and train_labels.shape == seen.shape[:1],
        where, 'there must be a label for each example',
        f'{labels.shape} and {train_labels.shape}')
  check(len(np.unique(train_labels)) > 1, where,
        'train_labels must be of 2 classes or more', train_labels[:1])
  if not (np.isfinite(x).all() and np.isfinite(seen).all()):
    return float('nan')
  # What gamma='scale' is, of pixels as they are.
  variance = seen.var()
  gamma = 1 / (seen.shape[1] * variance) if variance > 0 else 1.0
  # The machine expands squares, of which far from the origin nothing is left.
  x, seen = x - seen.mean(0), seen - seen.mean(0)
  model = _classifier(seen, train_labels, gamma)
  return float(np.mean(model.predict(x) == labels))


def classification_accuracy_score(
    samples: np.ndarray, labels: np.ndarray, test: np.ndarray,
    test_labels: np.ndarray
) -> float:
  """Test accuracy of the same classifier, trained on samples only.

  CAS of Ravuri & Vinyals, arXiv:1905.10887, with an SVC for their ResNet.
  """
  return recognition_rate(test, test_labels, samples, labels)
