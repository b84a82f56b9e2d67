"""Laws of DiT's patches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks import transformer
from genjax.networks.init import init_params


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


def test_a_signal_is_told_by_all_its_steps_and_keeps_patches_together():
  """Every output depends on every input, in a way of its own for each step.

  Without attention an output depends on the steps of its own patch alone.
  """
  size, x = 4, jax.random.normal(jax.random.key(0), (1, 12, 2))
  network = transformer.SignalDiT(
      transformer.DiT(8, 1, 4, patch_size=1), size)
  variables = jax.tree.map(
      lambda p: p + .3 * jax.random.normal(jax.random.key(1), p.shape),
      init_params(jax.random.key(2), network, x.shape))

  @jax.jit
  def jacobian(variables):
    return jnp.abs(jax.jacobian(lambda x: network.apply(
        variables, x, jnp.zeros(1)))(x))[0, :, :, 0].sum((1, 3))  # [12, 12]

  assert (np.asarray(jacobian(variables)) > 1e-6).all()
  variables['params']['network']['blocks']['attention'] = jax.tree.map(
      jnp.zeros_like, variables['params']['network']['blocks']['attention'])
  patch = np.arange(12) // size
  np.testing.assert_array_equal(np.asarray(jacobian(variables)) > 1e-6,
                                patch[:, None] == patch)


def test_a_signal_of_no_whole_number_of_patches_is_refused():
  network = transformer.SignalDiT(transformer.DiT(8, 1, 4, patch_size=1), 5)
  with pytest.raises(ValueError, match='length must be a multiple of 5, got 1'):
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 12, 2)),
                   jnp.zeros(1))
