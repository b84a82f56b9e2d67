"""Multi-head self-attention, of the U-Nets and of the transformer."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax import checks
from genjax import machine
from genjax.networks.init import fan_avg_uniform
from genjax.types import Array


def attend(q: Array, k: Array, v: Array, *, train: bool = False) -> Array:
  """Softmax attention of N tokens to each other: softmax(q k' / sqrt(D)) v.

  arXiv:1706.03762 eq. 1. It is computed by the flash attention of cuDNN
  (arXiv:2205.14135), which never holds the N x N weights, where
  `is_fused` says so, else by XLA, with a softmax in float32 at least.

  Args:
    q: [B, N, H, D], queries of H heads.
    k: [B, N, H, D], keys.
    v: [B, N, H, D], values.
    train: whether its gradient is to be fused as well. It then has reverse
      derivatives alone; otherwise it has forward ones too, by XLA, which
      densities and guidance need.

  Returns:
    [B, N, H, D].
  """
  if not is_fused(q.dtype, q.shape[-1]):
    return jax.nn.dot_product_attention(q, k, v, implementation='xla')
  return (_fused if train else _fused_forward)(q, k, v)


def is_fused(dtype: Any, head_dim: int) -> bool:
  """Whether cuDNN's flash attention is there for such heads.

  It is on an NVIDIA GPU of compute capability 8 (Ampere) or more, for float16
  and bfloat16, and for heads of a multiple of 8 channels, at most 128, or 256
  from compute capability 9 (Hopper) on. What is asked is the default device
  when a program is traced.
  """
  device = machine.devices()[0]
  if 'cuda' not in device.client.platform_version:
    return False
  capability = float(device.compute_capability)
  return (capability >= 8.0 and dtype in (jnp.float16, jnp.bfloat16)
          and head_dim % 8 == 0
          and head_dim <= (256 if capability >= 9.0 else 128))


def _fused(q: Array, k: Array, v: Array) -> Array:
  return jax.nn.dot_product_attention(q, k, v, implementation='cudnn')


_fused_forward = jax.custom_jvp(_fused)


@_fused_forward.defjvp
def _fused_forward_jvp(
    primals: tuple[Array, ...], tangents: tuple[Array, ...]
) -> tuple[Array, Array]:
  slope = jax.jvp(jax.nn.dot_product_attention, primals, tangents)[1]
  return _fused_forward(*primals), slope


class SelfAttention(nn.Module):
  """Multi-head softmax self-attention over N tokens.

  See `attend`, with dense layers with bias on both sides.
  """

  head_dim: int | None = None  # None: one head
  kernel_init: Any = fan_avg_uniform
  out_init: Any = fan_avg_uniform
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, train: bool = False) -> Array:
    """[B, N, C] to [B, N, C].

    Raises:
      ValueError: if `head_dim` does not divide C.
    """
    batch, tokens, channels = x.shape
    head_dim = self.head_dim or channels
    checks.check(channels % head_dim == 0, 'SelfAttention',
                 f'head_dim must divide the {channels} channels', head_dim)

    # The dense layers see one matrix of tokens: in the gradient of a kernel a
    # CPU would transpose an array of three axes, four times the work.
    flat = x.reshape(-1, channels)

    def project(name):
      h = nn.Dense(channels, kernel_init=self.kernel_init, dtype=self.dtype,
                   name=name)(flat)
      return h.reshape(batch, tokens, channels // head_dim, head_dim)

    h = attend(project('to_q'), project('to_k'), project('to_v'), train=train)
    return nn.Dense(channels, kernel_init=self.out_init, dtype=self.dtype,
                    name='to_out')(h.reshape(flat.shape)).reshape(x.shape)
