"""The energy distance, against double sums and scipy."""

import numpy as np
import pytest
from scipy import stats

from genjax.metrics import kernel

_RNG = np.random.default_rng(0)
_A, _B = _RNG.normal(size=(37, 2)), _RNG.normal(size=(23, 2)) * 2 + 1


def _mean_distance(a, b):
  return np.sqrt(((a[:, None] - b[None])**2).sum(-1)).mean()


@pytest.mark.parametrize('block', [1, 10, 1000])
def test_energy_distance_equals_the_double_means(block):
  """Over all pairs."""
  want = (2 * _mean_distance(_A, _B) - _mean_distance(_A, _A)
          - _mean_distance(_B, _B))
  got = kernel.energy_distance(_A, _B, block=block)
  np.testing.assert_allclose(got, want, atol=1e-14)
  np.testing.assert_allclose(kernel.energy_distance(_B, _A), want, atol=1e-14)


def test_energy_distance_is_the_square_of_scipys_on_the_line():
  """Scipy takes the root of the same statistic."""
  a, b = _A[:, :1], _B[:, :1]
  want = stats.energy_distance(a[:, 0], b[:, 0])**2
  np.testing.assert_allclose(kernel.energy_distance(a, b), want, atol=1e-14)


def test_energy_distance_is_zero_for_equal_sets_only():
  same = kernel.energy_distance(_A, _A[::-1])
  assert 0 <= same < 1e-15  # a rounding of the mean distance, which is 1.8
  assert kernel.energy_distance(_A, _A + .1) > 1e-3


def test_energy_distance_of_fresh_draws_is_their_floor():
  """Two draws of one law: E = (1/N + 1/M) E|x - x'|, by leaving out of each
  mean its zero diagonal. 200 repetitions, to 4 standard errors."""
  values = [kernel.energy_distance(*_RNG.normal(size=(2, 10, 2)))
            for _ in range(200)]
  want = 2 / 10 * np.sqrt(np.pi)  # E|x - x'| of unit normals in the plane
  error = np.std(values) / np.sqrt(200)
  assert abs(np.mean(values) - want) < 4 * error


@pytest.mark.parametrize('a, b, message', [
    (np.zeros(3), np.zeros((3, 1)), r'\[N, D\] and \[M, D\]'),
    (np.zeros((3, 2)), np.zeros((3, 1)), r'\[N, D\] and \[M, D\]'),
])
def test_energy_distance_refuses_bad_shapes(a, b, message):
  with pytest.raises(ValueError, match='energy_distance: .*' + message):
    kernel.energy_distance(a, b)


def _brute_force_kid(a, b):
  """Over all pairs of distinct points, one by one."""
  k = lambda x, y: (x @ y / len(x) + 1)**3
  own = lambda x: np.mean([k(x[i], x[j]) for i in range(len(x))
                           for j in range(len(x)) if i != j])
  return own(a) + own(b) - 2 * np.mean([k(x, y) for x in a for y in b])


def test_kernel_distance_equals_brute_force():
  rng = np.random.default_rng(3)
  a, b = rng.normal(size=(9, 4)), rng.normal(0.5, 2, size=(13, 4))
  want = _brute_force_kid(a, b)
  np.testing.assert_allclose(kernel.kernel_distance(a, b), want, rtol=1e-10)
  np.testing.assert_allclose(kernel.kernel_distance(a, b, block=4), want,
                             rtol=1e-10)


def test_kernel_distance_of_two_halves_is_zero_in_expectation():
  rng = np.random.default_rng(4)
  x = rng.normal(size=(120, 5))
  splits = (np.split(rng.permutation(120), 2) for _ in range(200))
  got = np.array([kernel.kernel_distance(x[i], x[j]) for i, j in splits])
  # Over splits every pair is within a half as often as across.
  assert abs(got.mean()) < 3 * got.std() / np.sqrt(len(got))
  assert (got < 0).any() and (got > 0).any()


def test_kernel_distance_refuses_what_has_no_pairs():
  with pytest.raises(ValueError, match='kernel_distance: a and b must hold 2'):
    kernel.kernel_distance(np.zeros((1, 2)), np.zeros((3, 2)))


def test_energy_distance_far_from_the_origin_is_not_negative():
  """Where the roundings of the data are as large as their distances."""
  rng = np.random.default_rng(0)
  for _ in range(20):
    a, b = rng.normal(size=(2, 30, 2)) + 1e15
    assert kernel.energy_distance(a, b) >= 0
