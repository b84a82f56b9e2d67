"""Calibration of classifiers whose confidence is known to be right or not."""

import jax.numpy as jnp
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


@pytest.mark.parametrize('dtype', [np.float16, jnp.bfloat16, np.float32])
def test_calibration_is_that_of_the_numbers_whatever_their_type(dtype):
  """500 examples, which 16 bits could not count, in the bins of float64."""
  p = np.random.default_rng(0).dirichlet(np.ones(3), 500).astype(dtype)
  labels = np.arange(500) % 3
  want = calibration(p.astype(np.float64), labels, num_bins=50)
  for got, known in zip(calibration(p, labels, num_bins=50), want):
    np.testing.assert_array_equal(got, known)


def test_calibration_of_nan_is_nan():
  """The diagram is that of the others; where none is left it is empty."""
  p, labels = _answers(0.8, 0.5, 20)
  spoilt = np.concatenate([p, [[np.nan, 0.5], [np.nan, np.nan]]])
  got = calibration(spoilt, np.append(labels, [0, 0]))
  assert np.isnan(got.error)
  np.testing.assert_array_equal(got.count, calibration(p, labels).count)
  none = calibration(spoilt[-2:], np.zeros(2, int))
  assert np.isnan(none.error) and not none.count.any()


@pytest.mark.parametrize('shape, bins, message', [
    ((0, 2), 5, 'N > 0'), ((3, 0), 5, 'N > 0'), ((3, 2), 0, 'num_bins')])
def test_calibration_refuses_what_says_nothing(shape, bins, message):
  with pytest.raises(ValueError, match='calibration: .*' + message):
    calibration(np.ones(shape), np.zeros(shape[0], int), num_bins=bins)
