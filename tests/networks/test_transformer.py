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
  """Without attention an output depends on the steps of its own patch alone."""
  size, length = 4, 12
  network = transformer.SignalDiT(
      transformer.DiT(8, 1, 4, patch_size=1), size)
  x = jax.random.normal(jax.random.key(0), (length, 2))
  # The signal, and the same with each of its steps moved.
  moved = jnp.concatenate([x[None], x + jnp.eye(length)[..., None]])
  apply = jax.jit(lambda v: network.apply(v, moved, jnp.zeros(length + 1)),
                  compiler_options={'xla_backend_optimization_level': 0})
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
      lambda p: p + np.float32(.3 * rng.normal(size=p.shape)),
      init_params(jax.random.key(2), network, (1, length, 2)))

  def differs(variables):
    y = np.asarray(apply(variables))
    return np.abs(y[1:] - y[0]).max(-1) > 1e-6  # of step, at step

  assert differs(variables).all()
  variables['params']['network']['blocks']['attention'] = jax.tree.map(
      np.zeros_like, variables['params']['network']['blocks']['attention'])
  patch = np.arange(length) // size
  np.testing.assert_array_equal(differs(variables), patch[:, None] == patch)


def test_a_signal_of_no_whole_number_of_patches_is_refused():
  network = transformer.SignalDiT(transformer.DiT(8, 1, 4, patch_size=1), 5)
  with pytest.raises(ValueError, match='length must be a multiple of 5, got 1'):
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 12, 2)),
                   jnp.zeros(1))
