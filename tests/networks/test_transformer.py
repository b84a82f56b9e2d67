"""Laws of DiT's patches."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import transformer


@pytest.mark.parametrize('size', [1, 2])
def test_unpatchify_inverts_patchify(size):
  x = jnp.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
  tokens = transformer.patchify(x, size)
  assert tokens.shape == (2, 24 // size ** 2, 3 * size ** 2)
  np.testing.assert_array_equal(transformer.unpatchify(tokens, size, 4, 6), x)


def test_patchify_keeps_squares_together_row_by_row():
  x = np.arange(24).reshape(1, 4, 6, 1)
  tokens = transformer.patchify(jnp.asarray(x), 2)
  np.testing.assert_array_equal(tokens[0, 1], x[0, :2, 2:4, 0].ravel())
  np.testing.assert_array_equal(tokens[0, 3], x[0, 2:, :2, 0].ravel())
