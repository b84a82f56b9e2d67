"""A small residual network for images, as a feature extractor."""

import math
from typing import Any, Sequence

import flax.linen as nn

from genjax import checks
from genjax.networks.normalization import GroupNorm
from genjax.types import Array

_KERNEL = nn.initializers.he_normal()
_ZEROS = nn.initializers.zeros_init()


class _Block(nn.Module):
  """Two convolutions beside a shortcut, activations first."""

  features: int
  groups: int
  dropout: float
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """[B, H, W, C] to [B, H, W, F]."""

    def conv(h, name, kernel=3, init=_KERNEL):
      return nn.Conv(self.features, (kernel, kernel), kernel_init=init,
                     dtype=self.dtype, name=name)(h)

    h = nn.relu(GroupNorm(self.groups, dtype=self.dtype, name='norm1')(x))
    h = conv(h, 'conv1')
    h = nn.relu(GroupNorm(self.groups, dtype=self.dtype, name='norm2')(h))
    h = nn.Dropout(self.dropout, deterministic=not train)(h)
    h = conv(h, 'conv2', init=_ZEROS)
    if x.shape[-1] != self.features:
      x = conv(x, 'shortcut', kernel=1)
    return x + h


class ResNet(nn.Module):
  """Features of images: [B, H, W, C] to [B, F].

  Residual blocks with pre-activation (arXiv:1603.05027) and group
  normalisation, which keeps no statistics: a function of the parameters alone.
  Every level halves the resolution of the one before. The features are a
  linear map of the last level's pixels, after a pooling to at most 4 x 4, so
  that they know where things are.

  Attributes:
    channels: of each level.
    blocks: residual blocks a level.
    features: F.
    groups: of the normalisation; divides every number of channels.
    dropout: probability in every block and of the features, when training.
    dtype: of the computation; None is that of x and the parameters.
  """

  channels: Sequence[int] = (32, 64)
  blocks: int = 1
  features: int = 64
  groups: int = 8
  dropout: float = 0.0
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, *, train: bool = False) -> Array:
    """[B, H, W, C] to [B, F]; True drops out, with rngs={'dropout': key}.

    Raises:
      ValueError: x is no batch of images, or too small for the levels.
    """
    where = 'ResNet'
    checks.check_rank(where, 'x', x, 4)
    factor = 2**(len(self.channels) - 1)
    checks.check(x.shape[1] % factor == x.shape[2] % factor == 0, where,
                 f'height and width must be multiples of {factor}',
                 f'{x.shape[1]} x {x.shape[2]}')
    h = nn.Conv(self.channels[0], (3, 3), kernel_init=_KERNEL,
                dtype=self.dtype, name='conv_in')(x)
    for level, channels in enumerate(self.channels):
      if level:
        h = nn.avg_pool(h, (2, 2), (2, 2))
      for block in range(self.blocks):
        h = _Block(channels, self.groups, self.dropout, self.dtype,
                   name=f'level{level}_block{block}')(h, train)
    h = nn.relu(GroupNorm(self.groups, dtype=self.dtype, name='norm_out')(h))
    h = _pool(h, 4)
    h = h.reshape(len(h), math.prod(h.shape[1:]))
    h = nn.relu(nn.Dense(self.features, kernel_init=_KERNEL, dtype=self.dtype,
                         name='dense_out')(h))
    return nn.Dropout(self.dropout, deterministic=not train)(h)


def _pool(h: Array, side: int) -> Array:
  """Mean over windows, so that at most side x side pixels are left."""
  window = tuple(-(-n // side) for n in h.shape[1:3])
  return nn.avg_pool(h, window, window, padding='SAME',
                     count_include_pad=False)
