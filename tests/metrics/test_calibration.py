"""Calibration of classifiers whose confidence is known to be right or not."""

import numpy as np
import pytest

from genjax.metrics.calibration import calibration


def _answers(confidence, accuracy, num):
  """Two classes; the share `accuracy` of `num` answers is right."""
  p = np.tile([confidence, 1 - confidence], (num, 1))
  return p, (np.arange(num) >= round(accuracy * num)).astype(int)


def test_calibration_error_is_the_distance_of_confidence_to_accuracy():
  for confidence, accuracy in ((0.8, 0.8), (0.9, 0.6), (0.55, 1.0)):
    got = calibration(*_answers(confidence, accuracy, 20))
    np.testing.assert_allclose(got.error, abs(confidence - accuracy),
                               atol=1e-12)


def test_calibration_weighs_bins_by_their_examples():
  parts = _answers(0.9, 0.5, 30), _answers(0.6, 0.6, 10)
  got = calibration(*(np.concatenate(x) for x in zip(*parts)), num_bins=10)
  np.testing.assert_allclose(got.error, (30 * 0.4 + 10 * 0) / 40, atol=1e-12)
  assert got.count.tolist() == [0, 0, 0, 0, 0, 10, 0, 0, 30, 0]
  np.testing.assert_allclose(got.accuracy[[5, 8]], [0.6, 0.5])
  np.testing.assert_allclose(got.confidence[[5, 8]], [0.6, 0.9])
  assert np.isnan(got.accuracy[0])


def test_calibration_of_sure_answers_is_their_error_rate():
  p = np.eye(4)[np.array([0, 1, 2, 3])]
  assert calibration(p, np.array([0, 1, 2, 0])).error == 0.25


def test_calibration_refuses_shapes_that_do_not_fit():
  with pytest.raises(ValueError, match='calibration: probabilities and labels'):
    calibration(np.ones((3, 2)), np.zeros(2, int))
