"""Samples judged by a classifier that never saw the generative model."""

import numpy as np


def _classifier(x: np.ndarray, labels: np.ndarray):
  from sklearn.svm import SVC  # slow to import, and needed here only

  return SVC(C=10, gamma='scale').fit(x.reshape(len(x), -1), labels)


def recognition_rate(
    samples: np.ndarray, labels: np.ndarray, train: np.ndarray,
    train_labels: np.ndarray
) -> float:
  """Share of samples that a classifier of real data gives the intended class.

  The classifier is scikit-learn's SVC(C=10, gamma='scale') on the pixels.
  Copies of the training set score 1: report a nearest-neighbour ratio beside.
  """
  model = _classifier(train, train_labels)
  return float(np.mean(model.predict(samples.reshape(len(samples), -1))
                       == labels))


def classification_accuracy_score(
    samples: np.ndarray, labels: np.ndarray, test: np.ndarray,
    test_labels: np.ndarray
) -> float:
  """Test accuracy of the same classifier, trained on samples only.

  CAS of Ravuri & Vinyals, arXiv:1905.10887, with an SVC for their ResNet.
  """
  return recognition_rate(test, test_labels, samples, labels)
