"""The Frechet distance of Gaussians, against closed forms."""

import numpy as np
import pytest
import scipy.linalg

from genjax.metrics import frechet

_RNG = np.random.default_rng(0)


def _covariance(dim, rank):
  root = _RNG.normal(size=(dim, rank))
  return root @ root.T


def test_frechet_gaussians_has_the_known_value():
  got = frechet.frechet_gaussians(
      np.array([1, -.5]), np.array([[2, .3], [.3, .5]]),
      np.zeros(2), np.array([[1, -.2], [-.2, 1.5]]))
  np.testing.assert_allclose(got, 1.806893768838, rtol=1e-11)


def test_frechet_gaussians_equals_the_matrix_root():
  """The textbook's product, whose root scipy takes by Schur's form."""
  a, b = _covariance(6, 9), _covariance(6, 9)
  mean = _RNG.normal(size=6)
  want = mean @ mean + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
  got = frechet.frechet_gaussians(mean, a, np.zeros(6), b)
  np.testing.assert_allclose(got, want, rtol=1e-9)
  swapped = frechet.frechet_gaussians(np.zeros(6), b, mean, a)
  np.testing.assert_allclose(swapped, got, rtol=1e-9)


@pytest.mark.parametrize('rank', [0, 1, 3, 6])
def test_frechet_gaussians_takes_singular_covariances(rank):
  """The distance of a law to itself is 0; to twice itself, its variance."""
  cov, zero = _covariance(6, rank), np.zeros(6)
  same = frechet.frechet_gaussians(zero, cov, zero, cov)
  np.testing.assert_allclose(same, 0, atol=1e-6)  # a root of 1e-13
  twice = frechet.frechet_gaussians(zero, cov, zero, 4 * cov)
  np.testing.assert_allclose(twice, np.trace(cov), atol=1e-5)


@pytest.mark.parametrize('dim', [1, 3])
def test_frechet_distance_moves_with_the_mean_and_the_scale(dim):
  """a + c is |c|^2 away; 3 a is 4 times its variance away, plus 4 |mean|^2."""
  a = _RNG.normal(size=(50, dim)).astype(np.float32)
  np.testing.assert_allclose(frechet.frechet_distance(a, a), 0, atol=1e-6)
  np.testing.assert_allclose(frechet.frechet_distance(a, a + 2), 4 * dim,
                             rtol=1e-5)
  want = 4 * (a.var(0, ddof=1).sum() + np.square(a.mean(0)).sum())
  np.testing.assert_allclose(frechet.frechet_distance(a, 3 * a), want,
                             rtol=1e-4)


def test_frechet_distance_does_not_depend_on_the_order_of_rows():
  a, b = _RNG.normal(size=(2, 30, 4))
  got = frechet.frechet_distance(a, b)
  np.testing.assert_allclose(frechet.frechet_distance(a[::-1], b), got)


@pytest.mark.parametrize('a, b, message', [
    (np.zeros(3), np.zeros((3, 1)), 'a must have 2 axes'),
    (np.zeros((3, 2)), np.zeros((3, 1)), 'one feature size'),
    (np.zeros((1, 2)), np.zeros((3, 2)), '2 rows or more'),
])
def test_frechet_distance_refuses_what_has_no_covariance(a, b, message):
  with pytest.raises(ValueError, match='frechet_distance: .*' + message):
    frechet.frechet_distance(a, b)


def test_moments_by_blocks_are_numpys():
  x = _RNG.normal(3, 2, size=(41, 5)).astype(np.float32)
  rows = np.array([4, 4, 9, 30, 2, 17, 40])
  for got, want in ((frechet.moments(x, block=7), x),
                    (frechet.moments(x, rows, block=3), x[rows])):
    want = want.astype(np.float64)
    np.testing.assert_allclose(got.mean, want.mean(0), rtol=1e-6)
    np.testing.assert_allclose(got.cov, np.cov(want, rowvar=False), rtol=1e-6)


def test_frechet_distance_infinity_takes_the_bias_away():
  """Two draws of one law, whose distance is 0; many of them, 6 features."""
  draws = np.random.default_rng(0).normal(size=(40, 2, 120, 6))
  plain = [frechet.frechet_distance(a, b) for a, b in draws]
  limits = [frechet.frechet_distance_infinity(a, b, num_groups=5).value
            for a, b in draws]
  bias, error = np.mean(plain), np.std(limits) / np.sqrt(len(draws))
  assert bias > 10 * np.std(plain) / np.sqrt(len(draws))  # far from 0
  assert abs(np.mean(limits)) < 3 * error + 0.1 * bias  # what 1 / n^2 leaves
  assert np.std(limits) < 2 * np.std(plain)  # a line must not cost more


@pytest.mark.parametrize('num_a, num_b, dim, shift', [
    (100, 100, 3, 0.0), (100, 60, 3, 0.7), (60, 60, 24, 0.3)])
def test_frechet_distance_infinity_covers_the_truth(num_a, num_b, dim, shift):
  """|m|^2 of normals of one covariance, in 19 of 20 intervals or more.

  It is wide where the truth is 0, of which the distance is a square; but never
  more than 4 times what the values vary by.
  """
  rng = np.random.default_rng(1)
  found = np.array([frechet.frechet_distance_infinity(
      rng.normal(size=(num_a, dim)), rng.normal(shift, 1, (num_b, dim)))
                    for _ in range(100)])
  value, low, high = found.T
  held = np.mean((low <= dim * shift**2) & (dim * shift**2 <= high))
  assert held > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 100)
  assert np.mean(high - low) < 4 * 1.96 * np.std(value)


def test_frechet_distance_infinity_finds_a_known_distance():
  """|m|^2 = 3 between normals of one covariance."""
  rng = np.random.default_rng(1)
  a, b = rng.normal(size=(600, 3)), rng.normal(1.0, 1.0, (600, 3))
  got = frechet.frechet_distance_infinity(a, b)
  assert got.low < 3 < got.high and got.high - got.low < 1.5


def test_frechet_distance_infinity_takes_features_that_never_vary():
  rng = np.random.default_rng(2)
  a, b = (np.pad(x, [(0, 0), (0, 2)]) for x in rng.normal(size=(2, 100, 3)))
  bare = frechet.frechet_distance_infinity(a[:, :3], b[:, :3])
  got = frechet.frechet_distance_infinity(a, b)
  np.testing.assert_allclose(got, bare, rtol=1e-5, atol=1e-5)


def test_frechet_distance_infinity_says_when_there_are_too_few_rows():
  with pytest.raises(ValueError, match='infinity: .* 42 rows or more'):
    frechet.frechet_distance_infinity(np.zeros((41, 20)), np.zeros((90, 20)))
  with pytest.raises(ValueError, match='infinity: .* 20 rows or more'):
    frechet.frechet_distance_infinity(np.zeros((19, 2)), np.zeros((90, 2)))


def test_frechet_distance_is_never_negative():
  """Of a set to itself, whose covariance has 450 eigenvalues of 0."""
  x = _RNG.normal(size=(50, 500))
  assert 0 <= frechet.frechet_distance(x, x) < 1e-4


def test_moments_refuse_what_has_no_covariance():
  with pytest.raises(ValueError, match='moments: x must hold 2 rows or more'):
    frechet.moments(np.zeros((5, 2)), np.array([3]))
