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
  """Over all pairs; float32 sums to 1e-6."""
  want = (2 * _mean_distance(_A, _B) - _mean_distance(_A, _A)
          - _mean_distance(_B, _B))
  got = kernel.energy_distance(_A, _B, block=block)
  np.testing.assert_allclose(got, want, atol=5e-6)
  np.testing.assert_allclose(kernel.energy_distance(_B, _A), want, atol=5e-6)


def test_energy_distance_is_the_square_of_scipys_on_the_line():
  """Scipy takes the root of the same statistic."""
  a, b = _A[:, :1], _B[:, :1]
  want = stats.energy_distance(a[:, 0], b[:, 0])**2
  np.testing.assert_allclose(kernel.energy_distance(a, b), want, atol=5e-6)


def test_energy_distance_is_zero_for_equal_sets_only():
  np.testing.assert_allclose(kernel.energy_distance(_A, _A[::-1]), 0, atol=1e-6)
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
