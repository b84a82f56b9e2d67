"""Multi-head self-attention, of the U-Net and of the transformer."""

from typing import Any

import flax.linen as nn
import jax

from genjax import checks
from genjax.networks.init import fan_avg_uniform
from genjax.types import Array


class SelfAttention(nn.Module):
  """Multi-head softmax self-attention over N tokens.

  arXiv:1706.03762 eq. 1, with scale 1 / sqrt(head_dim), and dense layers with
  bias on both sides. The softmax is taken in float32 at least.
  """

  head_dim: int | None = None  # None: one head
  kernel_init: Any = fan_avg_uniform
  out_init: Any = fan_avg_uniform
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
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

    h = jax.nn.dot_product_attention(
        project('to_q'), project('to_k'), project('to_v'))
    return nn.Dense(channels, kernel_init=self.out_init, dtype=self.dtype,
                    name='to_out')(h.reshape(flat.shape)).reshape(x.shape)
