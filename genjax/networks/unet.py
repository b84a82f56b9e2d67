"""The U-Net of DDPM, from a few thousand parameters to its published sizes."""

from typing import Any, Sequence

import flax.linen as nn
import jax.numpy as jnp

from genjax.networks import embeddings
from genjax.networks.attention import SelfAttention
from genjax.networks.init import fan_avg_uniform
from genjax.networks.normalization import GroupNorm
from genjax.types import Array
from genjax.types import Cond

_ZEROS = nn.initializers.zeros_init()


def _conv(x: Array, features: int, dtype: Any, name: str, *,
          kernel: int = 3, stride: int = 1, padding: Any = 'SAME',
          kernel_init: Any = fan_avg_uniform) -> Array:
  """A convolution with bias, as a submodule of the caller."""
  return nn.Conv(features, (kernel, kernel), stride, padding,
                 kernel_init=kernel_init, dtype=dtype, name=name)(x)


class ResnetBlock(nn.Module):
  """Two convolutions beside a shortcut, told the noise level between them."""

  features: int
  groups: int
  dropout: float
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, embedding: Array, train: bool) -> Array:
    """x [B, H, W, C] and swish of the embedding [B, E], to [B, H, W, F]."""
    h = nn.swish(GroupNorm(self.groups, dtype=self.dtype, name='norm1')(x))
    h = _conv(h, self.features, self.dtype, 'conv1')
    h += nn.Dense(self.features, kernel_init=fan_avg_uniform, dtype=self.dtype,
                  name='time_emb_proj')(embedding)[:, None, None]
    h = nn.swish(GroupNorm(self.groups, dtype=self.dtype, name='norm2')(h))
    h = nn.Dropout(self.dropout, deterministic=not train)(h)
    h = _conv(h, self.features, self.dtype, 'conv2', kernel_init=_ZEROS)
    if x.shape[-1] != self.features:
      x = _conv(x, self.features, self.dtype, 'conv_shortcut', kernel=1)
    return x + h


class AttentionBlock(nn.Module):
  """Self-attention over all pixels beside an identity."""

  head_dim: int | None
  groups: int
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """[B, H, W, C] to [B, H, W, C]."""
    batch, height, width, channels = x.shape
    h = GroupNorm(self.groups, dtype=self.dtype, name='group_norm')(x)
    h = SelfAttention(self.head_dim, fan_avg_uniform, _ZEROS, self.dtype,
                      name='attention')(
                          h.reshape(batch, height * width, channels), train)
    return x + h.reshape(x.shape)


class Level(nn.Module):
  """Residual blocks at one resolution, the same going down, up, in between.

  A skip, where one is given, is concatenated before each residual block. The
  result of each (residual block, attention) is returned, the last one last.
  """

  features: int
  layers: int
  attentions: int  # attention follows this many of the first blocks
  groups: int
  head_dim: int | None
  dropout: float
  dtype: Any = None
  remat: bool = False

  @nn.compact
  def __call__(self, x: Array, embedding: Array, skips: Sequence[Array],
               train: bool) -> list[Array]:
    resnet, attention = (nn.remat(ResnetBlock, static_argnums=(3,)), nn.remat(
        AttentionBlock, static_argnums=(2,))) if self.remat else (
            ResnetBlock, AttentionBlock)
    outputs = []
    for i in range(self.layers):
      if skips:
        x = jnp.concatenate([x, skips[i]], axis=-1)
      x = resnet(self.features, self.groups, self.dropout, self.dtype,
                 name=f'resnet_{i}')(x, embedding, train)
      if i < self.attentions:
        x = attention(self.head_dim, self.groups, self.dtype,
                      name=f'attention_{i}')(x, train)
      outputs.append(x)
    return outputs


def _double(x: Array) -> Array:
  """Nearest-neighbour upsampling [B, H, W, C] to [B, 2 H, 2 W, C]."""
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class UNet(nn.Module):
  """A U-Net of residual blocks and attention: [B, H, W, C] to the same.

  Ho et al. 2020, arXiv:2006.11239 appendix B, in the layout of the public
  UNet2DModel weights: `down_1/resnet_0/norm1` is their
  `down_blocks.1.resnets.0.norm1`, `mid/attention_0/attention/to_q` their
  `mid_block.attentions.0.to_q`, `upsample_0` their
  `up_blocks.0.upsamplers.0.conv`, and so on. The defaults are those of
  google/ddpm-cifar10-32, but for the noise embedding (theirs is
  `embeddings.TIMESTEP`, given the step).

  Additions: embeddings of class and vector added to that of the noise level,
  an image joined to x; the last layer of every residual branch, and of the
  network, starts at zero, so that a new network is exactly zero.

  Attributes:
    channels: channels of each level, the finest first; each level halves the
      resolution of the one before.
    layers_per_block: residual blocks a level on the way down, one more on the
      way up.
    attention_levels: levels whose residual blocks are followed by attention;
      0 is the finest. The middle always has one.
    head_dim: channels an attention head; None is one head.
    groups: groups of every group normalisation.
    dropout: probability in every residual block, when training.
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

  channels: Sequence[int] = (128, 256, 256, 256)
  layers_per_block: int = 2
  attention_levels: Sequence[int] = (1,)
  head_dim: int | None = None
  groups: int = 32
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
    return 2 ** (len(self.channels) - 1)

  @nn.compact
  def __call__(self, x: Array, noise: Array, cond: Cond | None = None, *,
               train: bool = False) -> Array:
    """The network's output for a batch of noisy images.

    Args:
      x: [B, H, W, C], scaled to about unit variance.
      noise: the log-SNR, finite (or a time step, where the frequencies are
        `TIMESTEP`), [B], or [B, 2] of two `noise_levels`.
      cond: what the attributes say, and 'absent' [B], see `types.Cond`; None
        is absent for all.
      train: True drops out, with rngs={'dropout': key}.

    Returns:
      [B, H, W, C], of x's dtype (float32 of whole numbers).

    Raises:
      ValueError: if H or W is no multiple of `factor`, a level is named that
        does not exist, or `groups` or `head_dim` does not divide.
    """
    embeddings.check_images(self, x, noise, cond)
    levels = range(len(self.channels))

    def level(i, layers, name, attentions=None):
      if attentions is None:
        attentions = layers if i in self.attention_levels else 0
      return Level(self.channels[i], layers, attentions, self.groups,
                   self.head_dim, self.dropout, self.dtype, self.remat,
                   name=name)

    embedding = nn.swish(embeddings.Conditioning(
        self.channels[0], 4 * self.channels[0], self.num_classes,
        self.vector_size, self.noise, dtype=self.dtype,
        augment_size=self.augment_size, name='time_embedding')(noise, cond))

    h = x if self.image_channels is None else embeddings.ImageInput(
        self.image_channels, name='image_input')(x, cond)
    h = _conv(h, self.channels[0], self.dtype, 'conv_in')
    skips = [h]
    for i in levels:
      skips += level(i, self.layers_per_block, f'down_{i}')(
          skips[-1], embedding, (), train)
      if i < levels[-1]:
        # DDPM pads below and to the right only.
        skips.append(_conv(skips[-1], self.channels[i], self.dtype,
                           f'downsample_{i}', stride=2,
                           padding=((0, 1), (0, 1))))

    h = level(levels[-1], 2, 'mid', attentions=1)(
        skips[-1], embedding, (), train)[-1]

    for i, depth in enumerate(reversed(levels)):
      layers = self.layers_per_block + 1
      taken = [skips.pop() for _ in range(layers)]
      h = level(depth, layers, f'up_{i}')(h, embedding, taken, train)[-1]
      if depth:
        h = _conv(_double(h), self.channels[depth], self.dtype,
                  f'upsample_{i}')

    h = nn.swish(GroupNorm(self.groups, dtype=self.dtype,
                           name='conv_norm_out')(h))
    h = _conv(h, x.shape[-1], self.dtype, 'conv_out', kernel_init=_ZEROS)
    return h.astype(jnp.result_type(x, float))
