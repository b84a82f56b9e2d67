"""Laws of self-attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.attention import SelfAttention


@pytest.mark.parametrize('head_dim', [None, 4])
def test_self_attention_matches_softmax_in_numpy(head_dim):
  x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
  module = SelfAttention(head_dim)
  # Kernels three times as wide, so that the softmax is far from uniform.
  variables = jax.tree.map(
      lambda p: 3 * p + .1, module.init(jax.random.key(1), x))
  params = jax.tree.map(lambda p: np.asarray(p, np.float64),
                        variables['params'])

  def dense(name, h):
    return h @ params[name]['kernel'] + params[name]['bias']

  q, k, v = (dense(name, x) for name in ('to_q', 'to_k', 'to_v'))
  size = head_dim or 8
  out = np.zeros_like(q)
  for b in range(2):
    for start in range(0, 8, size):
      head = np.s_[b, :, start:start + size]
      logits = q[head] @ k[head].T / np.sqrt(size)
      weights = np.exp(logits - logits.max(1, keepdims=True))
      out[head] = weights / weights.sum(1, keepdims=True) @ v[head]
  # float32 logits of size ten are off by 1e-6, relative in the weights.
  np.testing.assert_allclose(module.apply(variables, x), dense('to_out', out),
                             rtol=1e-4, atol=1e-4)


def test_self_attention_moves_with_its_tokens():
  x = jax.random.normal(jax.random.key(0), (2, 5, 8))
  module = SelfAttention(4)
  variables = module.init(jax.random.key(1), x)
  order = jnp.array([3, 0, 4, 1, 2])
  np.testing.assert_allclose(module.apply(variables, x[:, order]),
                             module.apply(variables, x)[:, order], atol=1e-5)


def test_self_attention_refuses_head_dim():
  with pytest.raises(ValueError, match='SelfAttention: head_dim must divide'):
    jax.eval_shape(SelfAttention(3).init, jax.random.key(0),
                   jnp.zeros((2, 5, 8)))
