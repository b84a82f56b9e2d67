"""Copying and coverage, on data where both are known."""

import numpy as np
import pytest

from genjax.metrics import manifold

_RNG = np.random.default_rng(0)


def test_nearest_distances_equals_brute_force_on_images():
  a, b = _RNG.normal(size=(7, 2, 3, 1)), _RNG.normal(size=(5, 2, 3, 1))
  want = np.sqrt(((a[:, None] - b[None])**2).sum((2, 3, 4))).min(1)
  np.testing.assert_allclose(manifold.nearest_distances(a, b), want, rtol=1e-9)
  # Of equal points what is left is the root of a rounding.
  assert manifold.nearest_distances(a, a).max() < 1e-6


def test_nearest_neighbour_ratio_is_zero_for_copies_and_one_for_fresh_data():
  train, test = _RNG.normal(size=(2, 200, 4))
  ratio = lambda x: manifold.nearest_neighbour_ratio(x, train, test)
  assert ratio(train) < 1e-6
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
