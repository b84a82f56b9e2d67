"""The diffusion transformer, DiT, of images and of signals."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from genjax import checks
from genjax.networks import embeddings
from genjax.networks.attention import SelfAttention
from genjax.networks.blocks import stack
from genjax.networks.init import fan_avg_uniform
from genjax.networks.normalization import layer_norm
from genjax.types import Array
from genjax.types import Cond

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


def _modulate(h: Array, shift: Array, scale: Array) -> Array:
  return h * (1 + scale[:, None]) + shift[:, None]


class _Block(nn.Module):
  """One adaLN-Zero block of a stack: the carry is h [B, N, F]."""

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
    y = _modulate(layer_norm(h, self.dtype), shift_1, scale_1)
    y = SelfAttention(self.head_dim, fan_avg_uniform, fan_avg_uniform,
                      self.dtype, name='attention')(y, self.train)
    h += gate_1[:, None] * y
    y = _modulate(layer_norm(h, self.dtype), shift_2, scale_2)
    # As one matrix of tokens, see `SelfAttention`.
    y = dense(int(self.mlp_ratio * features), 'dense_1')(
        y.reshape(-1, features))
    y = nn.Dropout(self.dropout, deterministic=not self.train)(nn.gelu(y))
    y = dense(features, 'dense_2')(y).reshape(h.shape)
    return h + gate_2[:, None] * y, None


class DiT(nn.Module):
  """A transformer over patches of an image: [B, H, W, C] to the same.

  Peebles and Xie 2022, arXiv:2212.09748, with adaLN-Zero blocks: noise level
  and class shift, scale and gate every branch, and every gate starts at zero,
  so that a new network is exactly zero. The params of all blocks are stacked,
  see `blocks.stack`. Positions are fixed sines and cosines, so any H and W
  divisible by the patch size will do.

  Attributes:
    features: width F of a token.
    depth: number of blocks.
    head_dim: channels an attention head.
    patch_size: side of a patch, in pixels.
    mlp_ratio: width of a block's hidden layer over `features`.
    dropout: probability in every block's hidden layer, when training.
    remat: whether the backward pass recomputes each block, to save memory.
    num_classes: number of classes of 'label'; None takes none.
    vector_size: length of 'vector'; None takes none.
    augment_size: length of 'augment', how x was changed; None takes none.
    image_channels: channels of 'image', which is joined to x; None takes none.
    noise: frequencies of the noise embedding.
    noise_levels: how many levels it is given, 1 or 2.
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
  vector_size: int | None = None
  augment_size: int | None = None
  image_channels: int | None = None
  noise: embeddings.Sinusoid = embeddings.LOG_SNR
  noise_levels: int = 1
  dtype: Any = None

  @property
  def factor(self) -> int:
    """What height and width must be multiples of."""
    return self.patch_size

  @nn.compact
  def __call__(self, x: Array, noise: Array, cond: Cond | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy images.

    Args:
      x: [B, H, W, C], scaled to about unit variance.
      noise: the log-SNR, finite, [B], or [B, 2] of two `noise_levels`.
      cond: what the attributes say, and 'absent' [B], see `types.Cond`; None
        is absent for all.
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
    embeddings.check_inputs(self, x, noise, cond)
    embedding = nn.swish(embeddings.Conditioning(
        min(self.features, 256), self.features, self.num_classes,
        self.vector_size, self.noise, class_init_std=.02, dtype=self.dtype,
        augment_size=self.augment_size, name='conditioning')(noise, cond))

    h = x if self.image_channels is None else embeddings.ImageInput(
        self.image_channels, name='image_input')(x, cond)
    h = nn.Dense(self.features, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='patch_in')(patchify(h, size))
    h += jnp.asarray(embeddings.position_features(
        height // size, width // size, self.features), h.dtype)
    h = h.astype(jnp.result_type(h, embedding))
    blocks = stack(_Block, self.depth, remat=self.remat)
    h, _ = blocks(self.head_dim, self.mlp_ratio, self.dropout, train,
                  self.dtype, name='blocks')(h, embedding)
    shift, scale = jnp.split(
        nn.Dense(2 * self.features, kernel_init=_ZEROS, dtype=self.dtype,
                 name='modulation_out')(embedding), 2, axis=-1)
    h = nn.Dense(size * size * x.shape[-1], kernel_init=_ZEROS,
                 dtype=self.dtype, name='patch_out')(
                     _modulate(layer_norm(h, self.dtype), shift, scale))
    return unpatchify(h, size, height, width).astype(jnp.result_type(x, float))


class SignalDiT(nn.Module):
  """A transformer over patches of a signal: [B, L, C] to the same.

  A patch of p steps is to the `DiT` one pixel of p C channels, of an image of
  L / p rows and one column.

  Attributes:
    network: what patches pass, with patches of one pixel.
    patch_size: length p of a patch.
  """

  network: DiT
  patch_size: int = 2

  @nn.compact
  def __call__(self, x: Array, noise: Array, cond: Cond | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy signals x [B, L, C].

    Args, Returns: see `DiT`.

    Raises:
      ValueError: if L is no multiple of `patch_size`, or see `DiT`.
    """
    checks.check_rank('SignalDiT', 'x', x, 3)
    batch, length, channels = x.shape
    size = self.patch_size
    checks.check(length % size == 0, 'SignalDiT',
                 f'length must be a multiple of {size}', length)
    image = x.reshape(batch, length // size, 1, size * channels)
    return self.network(image, noise, cond, train=train).reshape(x.shape)
