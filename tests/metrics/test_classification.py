"""Recognition and CAS, on classes that a classifier cannot but tell apart."""

import numpy as np
from sklearn import svm

from genjax.metrics import classification

_RNG = np.random.default_rng(0)
_LABELS = np.repeat([0, 1, 2], 10)


def _images(labels):
  centre = 10.0 * np.eye(3)[labels]
  noise = _RNG.normal(size=(len(labels), 3))
  return (centre + noise).reshape(-1, 1, 3, 1)


def test_recognition_rate_counts_intended_classes():
  """3 of 30 samples are of another class than their label says."""
  rate = classification.recognition_rate
  train = _images(_LABELS)
  assert rate(_images(_LABELS), _LABELS, train, _LABELS) == 1
  wrong = _LABELS.copy()
  wrong[[0, 10, 20]] = [1, 2, 0]
  assert rate(_images(_LABELS), wrong, train, _LABELS) == 0.9


def test_recognition_rate_is_by_the_machine_that_it_names():
  """Of features whose means lie farther apart than they vary."""
  rng = np.random.default_rng(0)
  train = rng.normal(size=(60, 3)) + [0., 40., 90.]
  labels = (np.sin(train).sum(1) > 0).astype(int)
  x = np.repeat(train, 10, 0) + rng.normal(size=(600, 3))
  intended = np.repeat(labels, 10)
  model = svm.SVC(C=10, gamma='scale').fit(train, labels)
  want = np.mean(model.predict(x) == intended)
  got = classification.recognition_rate(x, intended, train, labels)
  np.testing.assert_allclose(got, want, atol=2 / 600)  # of ties, by rounding
  centre = train.mean(0)
  other = svm.SVC(C=10, gamma='scale').fit(train - centre, labels)
  assert abs(np.mean(other.predict(x - centre) == intended) - want) > 0.05


def test_recognition_rate_is_the_same_far_from_the_origin():
  """Of whole numbers, which float64 moves by 2^40 without rounding them."""
  rng = np.random.default_rng(1)
  train = rng.integers(0, 17, (60, 4)).astype(float)
  labels = (train.sum(1) > 32).astype(int)
  x = rng.integers(0, 17, (300, 4)).astype(float)
  intended = (x.sum(1) > 32).astype(int)
  rate = classification.recognition_rate
  near = rate(x, intended, train, labels)
  assert 0.7 < near < 1
  far = [rate(x + away, intended, train + away, labels)
         for away in 2.0**np.arange(20, 41, 4)]
  np.testing.assert_allclose(far, near, atol=1.5 / 300)  # a tie, by rounding


def test_classification_accuracy_score_trains_on_samples_only():
  """Samples with labels turned round teach all of the test set wrong."""
  score = classification.classification_accuracy_score
  test = _images(_LABELS)
  assert score(_images(_LABELS), _LABELS, test, _LABELS) == 1
  turned = (_LABELS + 1) % 3
  assert score(_images(_LABELS), turned, test, _LABELS) == 0


def test_scores_differ_where_a_class_collapses():
  """One point a class is recognised, but a far part of a class is not learnt.

  Class 0 lies at 0 and at 20 on the line, class 1 at 10; samples of class 0
  are at 0 alone, hence the classifier that they teach calls 20 class 1.
  """
  test = np.repeat([0., 20., 10.], 10)[:, None]
  labels = np.repeat([0, 0, 1], 10)
  samples = np.repeat([0., 10.], 10)[:, None] + .01 * np.arange(20)[:, None]
  drawn = np.repeat([0, 1], 10)
  recognised = classification.recognition_rate(samples, drawn, test, labels)
  assert recognised == 1
  np.testing.assert_allclose(
      classification.classification_accuracy_score(
          samples, drawn, test, labels), 2 / 3)


def test_likeliest_takes_nan_for_no_class():
  logits = np.array([[0, 3, 1], [2, -np.inf, 1], [np.nan, 1, 0], [1, 0, 1]])
  np.testing.assert_array_equal(
      classification.likeliest(logits), [1, 0, -1, 0])
  np.testing.assert_array_equal(
      classification.likeliest(np.full((2, 1), np.nan, np.float32)), -1)
