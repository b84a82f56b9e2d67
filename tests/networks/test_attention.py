"""Laws of self-attention, and of what computes it on which device."""

import types

import jax
from jax._src.cudnn import fused_attention_stablehlo as cudnn
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import machine
from genjax.networks import attention
from genjax.networks.attention import SelfAttention
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet


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


@pytest.fixture(name='device')
def _device(monkeypatch):
  """An NVIDIA GPU of a compute capability, for which programs are written."""

  def set_to(capability, version='PJRT C API cuda 12090'):
    found = types.SimpleNamespace(
        client=types.SimpleNamespace(platform_version=version),
        compute_capability=capability)
    monkeypatch.setattr(machine, 'devices', lambda: [found])
    # As jax's own checks ask for it.
    monkeypatch.setattr(cudnn, 'check_compute_capability', lambda least:
                        float(capability) >= float(least))

  monkeypatch.setattr(cudnn, 'check_cudnn_version', lambda: 91000)
  set_to('9.0')
  return set_to


def _program(f, *args):
  """What would be compiled for an NVIDIA GPU."""
  return jax.jit(f).trace(*args).lower(lowering_platforms=('cuda',)).as_text()


@pytest.mark.parametrize('capability, dtype, head_dim, fused', [
    ('9.0', 'bfloat16', 72, True), ('9.0', 'float16', 256, True),
    ('8.0', 'bfloat16', 128, True), ('8.0', 'bfloat16', 256, False),
    ('7.5', 'float16', 64, False), ('9.0', 'bfloat16', 12, False),
    ('9.0', 'float32', 64, False), ('12.0', 'bfloat16', 8, True)])
def test_attention_is_fused_where_cudnn_takes_it(
    device, capability, dtype, head_dim, fused):
  """And what is chosen is refused by none of jax's own checks."""
  device(capability)
  q = jax.ShapeDtypeStruct((2, 6, 3, head_dim), dtype)
  for train in False, True:
    program = _program(
        lambda q, train=train: attention.attend(q, q, q, train=train), q)
    assert ('fmhaSoftmax' in program) == fused


def test_attention_of_another_device_is_by_xla(device):
  """On a CPU, on a GPU of another maker."""
  heads = jnp.zeros((1, 4, 2, 8), jnp.bfloat16)
  device('9.0', 'rocm 60')
  assert 'fmha' not in _program(lambda q: attention.attend(q, q, q), heads)
  device(None, 'cpu')
  assert not attention.is_fused(jnp.bfloat16, 8)


@pytest.mark.parametrize('network', [
    DiT(16, 2, 8, dtype=jnp.bfloat16),
    UNet((8,), 1, (), 8, groups=2, dtype=jnp.bfloat16)])
def test_networks_fuse_the_gradient_in_training_alone(device, network):
  x, noise = jnp.zeros((2, 4, 4, 1)), jnp.zeros(2)
  variables = jax.eval_shape(network.init, jax.random.key(0), x, noise)

  def slope(train):
    return _program(jax.grad(lambda variables: network.apply(
        variables, x, noise, train=train).sum()), variables)

  assert 'fmhaSoftmaxBackward' in slope(True)
  assert 'fmhaSoftmaxBackward' not in slope(False)


def test_fused_attention_has_forward_derivatives_where_it_is_not_trained(
    device):
  """Those of XLA's, though cuDNN has none: linear in the tangent, so that a
  density and a guide are found."""
  q, k, v, *tangents = jax.random.normal(
      jax.random.key(0), (6, 1, 4, 2, 8), jnp.bfloat16)

  def slope(q, k, v):
    return jax.jvp(attention.attend, (q, k, v), tuple(tangents))[1]

  def want(q, k, v):
    return jax.jvp(jax.nn.dot_product_attention, (q, k, v), tuple(tangents))[1]

  np.testing.assert_array_equal(jax.jit(slope)(q, k, v),
                                jax.jit(want)(q, k, v))
  assert 'fmhaSoftmax' in _program(lambda *a: jax.jvp(
      attention.attend, a, tuple(tangents)), q, k, v)
