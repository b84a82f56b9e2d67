"""The diffusion transformer, DiT."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax import checks
from genjax.networks import embeddings
from genjax.networks.attention import SelfAttention
from genjax.networks.init import fan_avg_uniform
from genjax.types import Array

_ZEROS = nn.initializers.zeros_init()


def patchify(x: Array, size: int) -> Array:
  """Images [B, H, W, C] to tokens [B, (H / size) (W / size), size size C]."""
  b, h, w, c = x.shape
  x = x.reshape(b, h // size, size, w // size, size, c).swapaxes(2, 3)
  return x.reshape(b, (h // size) * (w // size), size * size * c)


def unpatchify(tokens: Array, size: int, height: int, width: int) -> Array:
  """Tokens of `patchify` back to images [B, height, width, C]."""
  channels = tokens.shape[-1] // size**2
  x = tokens.reshape(len(tokens), height // size, width // size, size, size,
                     channels)
  return x.swapaxes(2, 3).reshape(len(tokens), height, width, channels)


def _norm(h: Array, dtype: Any) -> Array:
  return nn.LayerNorm(epsilon=1e-6, use_bias=False, use_scale=False,
                      dtype=dtype)(h)


def _modulate(h: Array, shift: Array, scale: Array) -> Array:
  return h * (1 + scale[:, None]) + shift[:, None]


class _Block(nn.Module):
  """One adaLN-Zero block, a step of a scan: the carry is h [B, N, F]."""

  head_dim: int
  mlp_ratio: float
  dropout: float
  train: bool
  dtype: Any = None

  @nn.compact
  def __call__(self, h: Array, embedding: Array) -> tuple[Array, None]:
    features = h.shape[-1]

    def dense(size, name, kernel_init=fan_avg_uniform):
      return nn.Dense(size, kernel_init=kernel_init, dtype=self.dtype,
                      name=name)

    (shift_1, scale_1, gate_1, shift_2, scale_2, gate_2) = jnp.split(
        dense(6 * features, 'modulation', _ZEROS)(embedding), 6, axis=-1)
    y = _modulate(_norm(h, self.dtype), shift_1, scale_1)
    y = SelfAttention(self.head_dim, fan_avg_uniform, fan_avg_uniform,
                      self.dtype, name='attention')(y)
    h += gate_1[:, None] * y
    y = _modulate(_norm(h, self.dtype), shift_2, scale_2)
    y = nn.gelu(dense(int(self.mlp_ratio * features), 'dense_1')(y))
    y = nn.Dropout(self.dropout, deterministic=not self.train)(y)
    return h + gate_2[:, None] * dense(features, 'dense_2')(y), None


class DiT(nn.Module):
  """A transformer over patches of an image: [B, H, W, C] to the same.

  Peebles and Xie 2022, arXiv:2212.09748, with adaLN-Zero blocks: noise level
  and class shift, scale and gate every branch, and every gate starts at zero,
  so that a new network is exactly zero. The blocks run under one scan, so that
  the time to compile does not grow with `depth`. Positions are fixed sines and
  cosines, so any H and W divisible by the patch size will do.

  Attributes:
    features: width F of a token.
    depth: number of blocks.
    head_dim: channels an attention head.
    patch_size: side of a patch, in pixels.
    mlp_ratio: width of a block's hidden layer over `features`.
    dropout: probability in every block's hidden layer, when training.
    remat: whether the backward pass recomputes each block, to save memory.
    num_classes: None is unconditional; the label `num_classes` is "no class".
    noise: frequencies of the noise embedding.
    dtype: of the computation; None is that of x and the parameters, which are
      float32.
  """

  features: int = 384
  depth: int = 12
  head_dim: int = 64
  patch_size: int = 2
  mlp_ratio: float = 4.0
  dropout: float = 0.0
  remat: bool = False
  num_classes: int | None = None
  noise: embeddings.Sinusoid = embeddings.LOG_SNR
  dtype: Any = None

  @property
  def factor(self) -> int:
    """What height and width must be multiples of."""
    return self.patch_size

  @nn.compact
  def __call__(self, x: Array, log_snr: Array, label: Array | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy images.

    Args:
      x: [B, H, W, C], scaled to about unit variance.
      log_snr: [B], finite.
      label: [B] int32 in 0..num_classes; None is "no class" for all.
      train: True drops out, with rngs={'dropout': key}.

    Returns:
      [B, H, W, C], of x's dtype (float32 of whole numbers).

    Raises:
      ValueError: if H or W is no multiple of `patch_size`, `features` none of
        `head_dim` or 4, or `depth` is not positive.
    """
    checks.check_rank('DiT', 'x', x, 4)
    checks.check_positive('DiT', 'depth', self.depth)
    size, (height, width) = self.patch_size, x.shape[1:3]
    checks.check(height % size == 0 and width % size == 0, 'DiT',
                 f'image height and width must be multiples of {size}',
                 f'{height} x {width}')
    embeddings.check_inputs('DiT', x, log_snr, label, self.num_classes)
    embedding = nn.swish(embeddings.Conditioning(
        min(self.features, 256), self.features, self.num_classes, self.noise,
        class_init_std=.02, dtype=self.dtype, name='conditioning')(
            log_snr, label))

    h = nn.Dense(self.features, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='patch_in')(patchify(x, size))
    h += jnp.asarray(embeddings.position_features(
        height // size, width // size, self.features), h.dtype)
    h = h.astype(jnp.result_type(h, embedding))
    block = nn.remat(_Block, prevent_cse=False) if self.remat else _Block
    blocks = nn.scan(
        block, length=self.depth, in_axes=nn.broadcast,
        variable_axes={'params': 0},
        split_rngs={'params': True, 'dropout': True})
    h, _ = blocks(self.head_dim, self.mlp_ratio, self.dropout, train,
                  self.dtype, name='blocks')(h, embedding)
    shift, scale = jnp.split(
        nn.Dense(2 * self.features, kernel_init=_ZEROS, dtype=self.dtype,
                 name='modulation_out')(embedding), 2, axis=-1)
    h = nn.Dense(size * size * x.shape[-1], kernel_init=_ZEROS,
                 dtype=self.dtype, name='patch_out')(
                     _modulate(_norm(h, self.dtype), shift, scale))
    return unpatchify(h, size, height, width).astype(jnp.result_type(x, float))
