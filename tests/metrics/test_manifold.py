"""Copying and coverage, on data where both are known."""

import numpy as np
import pytest

from genjax.metrics import manifold

_RNG = np.random.default_rng(0)


def test_nearest_distances_equals_brute_force_on_images():
  a, b = _RNG.normal(size=(7, 2, 3, 1)), _RNG.normal(size=(5, 2, 3, 1))
  want = np.sqrt(((a[:, None] - b[None])**2).sum((2, 3, 4))).min(1)
  np.testing.assert_allclose(manifold.nearest_distances(a, b), want, rtol=1e-9)
  assert manifold.nearest_distances(a, a).max() == 0


def test_nearest_neighbour_ratio_is_zero_for_copies_and_one_for_fresh_data():
  train, test = _RNG.normal(size=(2, 200, 4))
  ratio = lambda x: manifold.nearest_neighbour_ratio(x, train, test)
  assert ratio(train) == 0
  np.testing.assert_allclose(ratio(test), 1, rtol=1e-12)
  halfway = 0.5 * (test + train[np.argmin(
      ((test[:, None] - train)**2).sum(-1), 1)])
  np.testing.assert_allclose(ratio(halfway), 0.5, rtol=1e-6)


def test_spread_within_classes_is_the_mean_over_all_pairs_of_a_class():
  x, labels = _RNG.normal(size=(11, 2, 2)), np.array([0] * 4 + [3] * 7)
  want = np.mean([
      np.mean([np.sum((a - b)**2) for a in members for b in members])
      for members in (x[:4], x[4:])])
  np.testing.assert_allclose(manifold.spread_within_classes(x, labels), want,
                             rtol=1e-10)


def test_spread_within_classes_does_not_see_between_classes():
  x, labels = _RNG.normal(size=(8, 3)), np.repeat([0, 1], 4)
  moved = x + 100 * labels[:, None]
  np.testing.assert_allclose(manifold.spread_within_classes(moved, labels),
                             manifold.spread_within_classes(x, labels))


def test_diversity_is_the_square_of_a_shrinkage():
  test, labels = _RNG.normal(size=(20, 3)), np.repeat([0, 1], 10)
  got = manifold.diversity(0.5 * test, labels, test, labels)
  np.testing.assert_allclose(got, 0.25, rtol=1e-12)


def test_spread_within_classes_refuses_a_class_of_one():
  with pytest.raises(ValueError, match='class 1 needs 2 members, got 1'):
    manifold.spread_within_classes(np.zeros((3, 2)), np.array([0, 0, 1]))


def _brute_force(samples, data, k):
  """The four definitions, read out with loops over points."""
  def radii(x):
    return [sorted(np.linalg.norm(one - y) for y in x)[k] for one in x]

  balls = list(zip(data, radii(data)))
  inside = np.array([[np.linalg.norm(s - d) <= r for d, r in balls]
                     for s in samples])
  around = np.array([[np.linalg.norm(s - d) <= r for d in data]
                     for s, r in zip(samples, radii(samples))])
  return (inside.any(1).mean(), around.any(0).mean(),
          inside.sum() / (k * len(samples)), inside.any(0).mean())


@pytest.mark.parametrize('shift, origin, dim', [
    (0.0, 0, 3), (1.5, 0, 3), (0.0, 1e8, 3), (0.2, 1e6, 200)])
def test_precision_recall_equals_brute_force(shift, origin, dim):
  """On 200 points: 90 samples, less spread, and 110 data. Some are copies, so
  that radii are met exactly, wherever the origin is and in blocks of any size.
  """
  rng = np.random.default_rng(1)
  samples = origin + rng.normal(shift, 0.7, (90, dim))
  data = origin + rng.normal(size=(110, dim))
  samples[:20], samples[20:30] = data[:20], samples[30:40]
  data[:15] = data[15:30]
  want = _brute_force(samples, data, 3)
  for block in (1024, 7):
    got = manifold.precision_recall(samples, data, k=3, block=block)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_precision_recall_tells_copies_dropped_modes_and_noise_apart():
  rng = np.random.default_rng(2)
  modes = np.repeat([[0.0, 0.0], [50.0, 0.0]], 100, axis=0)
  data = modes + rng.normal(size=(200, 2))
  same = manifold.precision_recall(data, data)
  assert same[:2] == (1, 1) and same.coverage == 1
  half = manifold.precision_recall(data[:100], data)
  assert half.precision == 1 and half.recall == half.coverage == 0.5
  noise = manifold.precision_recall(data + [0, 500.0], data)
  assert noise == (0, 0, 0, 0)


def test_precision_recall_says_when_there_are_too_few_rows():
  with pytest.raises(ValueError, match='more than k = 5 rows, got 5 and 9'):
    manifold.precision_recall(np.zeros((5, 2)), np.zeros((9, 2)))
