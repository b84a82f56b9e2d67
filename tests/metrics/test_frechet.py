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
