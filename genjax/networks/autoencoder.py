"""Networks into a latent space and out of it, for vectors and for images.

An encoder maps (x [B, ...], label [B] or None) to [B, num_outputs], a decoder
(z [B, Z], label) to [B, *shape, num_outputs]. A label equal to the number of
classes, or none at all, means "no class"; one outside 0..K gives NaN. Labels
[B, K] of real numbers are shares of the K classes, as of what lies between two.
"""

import math
from typing import Any, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax import checks
from genjax.networks.normalization import GroupNorm
from genjax.types import Array

_KERNEL = nn.initializers.he_normal()


def _with_class(
    where: str, x: Array, label: Array | None, num_classes: int | None
) -> Array:
  """x [B, ..., C] with one more channel for every class."""
  checks.check(label is None or num_classes is not None, where,
               'label must be absent without classes', 'labels')
  if num_classes is None:
    return x
  if label is None:
    label = jnp.full(len(x), num_classes)
  of_class = jnp.issubdtype(label.dtype, jnp.integer)
  shape = x.shape[:1] if of_class else (len(x), num_classes)
  checks.check(label.shape == shape, where, f'a label of {label.dtype} must be '
               f'{list(shape)}', f'shape {label.shape}')
  if of_class:
    known = (label >= 0) & (label <= num_classes)
    shares = jnp.where(known[:, None], jax.nn.one_hot(label, num_classes),
                       jnp.nan)
  else:
    shares = label
  # Shares, which a dtype of whole numbers does not have.
  x, shares = (a.astype(jnp.result_type(x, float)) for a in (x, shares))
  shares = shares.reshape(
      len(x), *(1,) * (x.ndim - 2), num_classes)
  return jnp.concatenate([x, jnp.broadcast_to(
      shares, (*x.shape[:-1], num_classes))], axis=-1)


def _hidden(h: Array, widths: Sequence[int], dtype: Any) -> Array:
  for i, width in enumerate(widths):
    h = nn.swish(nn.Dense(width, kernel_init=_KERNEL, dtype=dtype,
                          name=f'dense_{i}')(h))
  return h


class MLPEncoder(nn.Module):
  """A multilayer perceptron over all of x flattened: [B, ...] to [B, O].

  Attributes:
    num_outputs: O.
    widths: of the hidden layers; without any the network is affine.
    num_classes: None takes no label.
    dtype: of the hidden layers; None is that of x and the parameters, and so
      is that of the last one.
  """

  num_outputs: int
  widths: Sequence[int] = (256, 256)
  num_classes: int | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, label: Array | None = None) -> Array:
    """[B, ...] to [B, O].

    Raises:
      ValueError: a label without classes, or one that is neither int [B] nor
        float [B, K].
    """
    flat = x.reshape(len(x), math.prod(x.shape[1:]))
    h = _with_class('MLPEncoder', flat, label, self.num_classes)
    h = _hidden(h, self.widths, self.dtype)
    return nn.Dense(self.num_outputs, name='out')(h)


class MLPDecoder(nn.Module):
  """A multilayer perceptron out of a latent space: [B, Z] to [B, *shape, O].

  Attributes:
    num_outputs: O, for each entry of the data.
    shape: of the data.
    widths, num_classes, dtype: as of `MLPEncoder`.
  """

  num_outputs: int
  shape: Sequence[int]
  widths: Sequence[int] = (256, 256)
  num_classes: int | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, z: Array, label: Array | None = None) -> Array:
    """[B, Z] to [B, *shape, O].

    Raises:
      ValueError: a label without classes, or one that is neither int [B] nor
        float [B, K].
    """
    h = _with_class('MLPDecoder', z, label, self.num_classes)
    h = _hidden(h, self.widths, self.dtype)
    h = nn.Dense(math.prod(self.shape) * self.num_outputs, name='out')(h)
    return h.reshape(len(z), *self.shape, self.num_outputs)


class ConvEncoder(nn.Module):
  """Convolutions that halve an image at every level: [B, H, W, C] to [B, O].

  Attributes:
    num_outputs: O.
    channels: of each level; H and W are multiples of 2^(levels - 1).
    groups: of the normalisation; divides every number of channels.
    num_classes: None takes no label.
    dtype: as of `MLPEncoder`.
  """

  num_outputs: int
  channels: Sequence[int] = (32, 64)
  groups: int = 8
  num_classes: int | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, label: Array | None = None) -> Array:
    """[B, H, W, C] to [B, O].

    Raises:
      ValueError: x is no batch of images, or of a size that the levels cannot
        halve; labels as of `MLPEncoder`.
    """
    checks.check_rank('ConvEncoder', 'x', x, 4)
    _check_size('ConvEncoder', x.shape[1:3], self.channels)
    h = _with_class('ConvEncoder', x, label, self.num_classes)
    for level, channels in enumerate(self.channels):
      step = 2 if level else 1
      h = nn.Conv(channels, (3, 3), (step, step), kernel_init=_KERNEL,
                  dtype=self.dtype, name=f'conv_{level}')(h)
      h = nn.swish(GroupNorm(self.groups, dtype=self.dtype,
                             name=f'norm_{level}')(h))
    h = h.reshape(len(x), math.prod(h.shape[1:]))
    return nn.Dense(self.num_outputs, name='out')(h)


class ConvDecoder(nn.Module):
  """Convolutions that double an image at every level: [B, Z] to images.

  Attributes:
    num_outputs: O, for each value of a pixel.
    shape: (H, W, C) of the data.
    channels: of each level, from the finest, as of `ConvEncoder`.
    groups, num_classes, dtype: likewise.
  """

  num_outputs: int
  shape: Sequence[int]
  channels: Sequence[int] = (32, 64)
  groups: int = 8
  num_classes: int | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, z: Array, label: Array | None = None) -> Array:
    """[B, Z] to [B, H, W, C, O].

    Raises:
      ValueError: a shape of no image, or of a size that the levels cannot
        double to; labels as of `MLPEncoder`.
    """
    where = 'ConvDecoder'
    checks.check(len(self.shape) == 3, where, 'shape must be (H, W, C)',
                 tuple(self.shape))
    _check_size(where, self.shape[:2], self.channels)
    factor = 2**(len(self.channels) - 1)
    height, width = (side // factor for side in self.shape[:2])
    h = _with_class(where, z, label, self.num_classes)
    h = nn.Dense(height * width * self.channels[-1], kernel_init=_KERNEL,
                 dtype=self.dtype, name='dense_in')(h)
    h = h.reshape(len(z), height, width, self.channels[-1])
    for level, channels in reversed(list(enumerate(self.channels))):
      h = nn.swish(GroupNorm(self.groups, dtype=self.dtype,
                             name=f'norm_{level}')(h))
      if level < len(self.channels) - 1:
        h = h.repeat(2, axis=1).repeat(2, axis=2)
      h = nn.Conv(channels, (3, 3), kernel_init=_KERNEL, dtype=self.dtype,
                  name=f'conv_{level}')(h)
    h = nn.swish(GroupNorm(self.groups, dtype=self.dtype,
                           name='norm_out')(h))
    h = nn.Conv(self.shape[-1] * self.num_outputs, (3, 3), name='out')(h)
    return h.reshape(len(z), *self.shape, self.num_outputs)


def _check_size(where, size, channels):
  factor = 2**(len(channels) - 1)
  checks.check(all(side % factor == 0 for side in size), where,
               f'height and width must be multiples of {factor}',
               ' x '.join(map(str, size)))
