"""Squared distances against sums of squared differences, pair by pair."""

import numpy as np
import pytest

from genjax.metrics import distances

_RNG = np.random.default_rng(0)

# Sets that expanded squares tell little of: far from the origin, copies, two
# heaps so far apart that each is a point, columns of unequal units.
SETS = {
    'near': _RNG.normal(size=(2, 40, 7)),
    'far': 1e8 + _RNG.normal(size=(2, 40, 7)),
    'copies': np.repeat(_RNG.normal(size=(2, 8, 300)), 5, axis=1),
    'heaps': (1e9 * (np.arange(40) % 2)[:, None]
              + 1e-2 * _RNG.normal(size=(2, 40, 300))),
    'units': _RNG.normal(size=(2, 40, 3)) * [1e-8, 1.0, 1e8],
    'bits': _RNG.integers(0, 2, (2, 40, 4)),
    'no axis': np.zeros((2, 40, 0)),
}


def differences(a, b):
  """All pairs by the sum that is the same for a pair wherever it stands."""
  return np.array([[np.square(x - y).sum() for y in b] for x in a])


@pytest.mark.parametrize('name', SETS)
@pytest.mark.parametrize('block', [1, 7, 256])
def test_blocks_hold_their_bound_and_sharpen_to_differences(name, block):
  """And both to the bit for copies, in each of the two orders of the sets."""
  a, b = SETS[name]
  b = np.concatenate([b, a[::3]])
  want = differences(a, b)
  for first, second, known in ((a, b, want), (b, a, want.T)):
    for rows, squared, error, sharpen in distances.blocks(first, second, block):
      assert np.all(np.abs(squared - known[rows]) <= error)
      mask = _RNG.random(squared.shape) < 0.5
      rest = squared[~mask]
      sharpen(mask)
      np.testing.assert_array_equal(squared[mask], known[rows][mask])
      np.testing.assert_array_equal(squared[~mask], rest)


@pytest.mark.parametrize('name', SETS)
def test_squared_distances_keep_their_digits(name):
  a, b = SETS[name]
  b = np.concatenate([b, a])
  want = differences(a, b)
  for rows, got in distances.squared_distances(a, b, block=16):
    np.testing.assert_allclose(got, want[rows], rtol=2.0**-10)
    np.testing.assert_array_equal(got == 0, want[rows] == 0)


def test_squared_distances_spoil_no_row_but_that_of_the_nan():
  a, b = SETS['near'].copy()
  a[3, 0], b[5, 1], b[6, 2] = np.inf, np.nan, -np.inf
  (_, got), = distances.squared_distances(a, b)
  bad = np.zeros((40, 40), bool)
  bad[3], bad[:, 5:7] = True, True
  np.testing.assert_array_equal(np.isnan(got), bad)


def test_squared_distances_refuse_a_block_of_nothing():
  with pytest.raises(ValueError, match='block must be positive, got 0'):
    next(distances.squared_distances(*SETS['near'], block=0))
