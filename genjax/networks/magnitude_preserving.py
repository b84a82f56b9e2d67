"""Layers that keep the magnitude of what passes: mean square 1 stays 1.

Karras et al. 2023 (EDM2), arXiv:2312.02696, section 2 and appendix B, in their
configuration G. A weight counts by its direction alone: it is divided by its
norm, an output channel at a time, wherever it is used, so that its gradient is
orthogonal to it, and `training.optimizers` puts it back on the sphere after
each update. No layer has a bias; where one may scale, it does so by a learned
gain that is 0 at first. Where one input is independent of another and of random
weights, the mean square of an output is 1 if that of the inputs is.
"""

import math
import statistics
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax import checks
from genjax.networks.attention import attend
from genjax.networks.embeddings import class_rows
from genjax.networks.embeddings import or_absent
from genjax.numerics import unit_rms
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Shape

RESIDUAL = 0.3  # share of a branch in its sum with what it is added to

# Root mean square of silu(z) of a standard normal z (eq. 81).
_SILU = 0.596


def mp_silu(x: Array) -> Array:
  """SiLU, of mean square 1 on standard normal numbers (eq. 81)."""
  return nn.silu(x) / _SILU


def mp_sum(a: Array, b: Array, share: float = 0.5) -> Array:
  """Of a and b the sum with weights 1 - share and share (eq. 88).

  Divided by the root of the sum of their squares.
  """
  return ((1 - share) * a + share * b) / math.hypot(1 - share, share)


def mp_cat(a: Array, b: Array) -> Array:
  """a [..., N] beside b [..., M], each of half of the result's sum of squares.

  Eq. 103 at t = 1/2: by sqrt((N + M) / 2N) and sqrt((N + M) / 2M).
  """
  half = (a.shape[-1] + b.shape[-1]) / 2
  return jnp.concatenate([math.sqrt(half / a.shape[-1]) * a,
                          math.sqrt(half / b.shape[-1]) * b], axis=-1)


def pixel_norm(x: Array) -> Array:
  """x [..., C] over the root mean square of its C channels."""
  return unit_rms(x, -1)


def fourier_features(u: Array, dim: int) -> Array:
  """sqrt(2) cos(2 pi (f_i u + p_i)) of a number, of mean square 1 (eq. 75).

  The published frequencies are standard normal draws and the phases uniform
  ones; here they are the quantiles of these laws at evenly spread levels, the
  phases in the order of multiples of the golden ratio, and so need no storing.

  Args:
    u: [B], the number, of any dtype.
    dim: number of features.

  Returns:
    [B, dim], float32 or wider.
  """
  u, normal = widen(u), statistics.NormalDist()
  frequencies = [normal.inv_cdf((i + 0.5) / dim) for i in range(dim)]
  phases = np.arange(dim) * (math.sqrt(5) - 1) / 2 % 1
  turns = u[:, None] * jnp.asarray(frequencies, u.dtype) + (
      jnp.asarray(phases, u.dtype))
  return math.sqrt(2) * jnp.cos(2 * math.pi * turns)


def _direction(key: Key, shape: Shape) -> Array:
  """A random weight of mean square 1 an output channel, the last axis.

  Drawn flat, because that compiles faster.
  """
  flat = jax.random.normal(key, (math.prod(shape),))
  return unit_rms(flat.reshape(shape), _inputs(shape))


def _inputs(shape: Shape) -> tuple[int, ...]:
  return tuple(range(len(shape) - 1))


class Linear(nn.Module):
  """A linear layer or convolution whose weights have norm 1 a channel.

  The parameter is `direction`, [*window, C, features], of mean square 1 (eq.
  47 and 66).

  Attributes:
    features: number of output channels.
    window: height and width of a convolution; () is a linear layer.
    gained: whether it is multiplied by a learned gain that is 0 at first.
    dtype: of the computation; None is that of x and the parameters.
  """

  features: int
  window: tuple[int, ...] = ()
  gained: bool = False
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """[B, ..., C] to [B, ..., features]; a convolution takes [B, H, W, C]."""
    shape = (*self.window, x.shape[-1], self.features)
    weight = unit_rms(self.param('direction', _direction, shape),
                      _inputs(shape)) / math.sqrt(math.prod(shape[:-1]))
    if self.gained:
      weight *= self.param('gain', nn.initializers.zeros_init(), ())
    x, weight = nn.dtypes.promote_dtype(x, weight, dtype=self.dtype)
    if not self.window:
      return x @ weight
    return jax.lax.conv_general_dilated(
        x, weight, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


class _Constant(nn.Module):
  """A learnt vector of mean square 1, [dim]."""

  dim: int

  @nn.compact
  def __call__(self) -> Array:
    return unit_rms(self.param('direction', _direction, (self.dim, 1)), 0)[:, 0]


class _Classes(nn.Module):
  """A learnt vector for each class and for none; see `class_rows`.

  Of mean square 1 over the classes, in each channel.
  """

  num_classes: int
  dim: int

  @nn.compact
  def __call__(self, label: Array, absent: Array) -> Array:
    shape = (self.num_classes + 1, self.dim)
    table = unit_rms(self.param('direction', _direction, shape), 0)
    return class_rows(table, label, absent)


class Embedding(nn.Module):
  """One vector for noise level, class and the like, as every block receives it.

  Each is a linear layer, and one after the other is joined to the rest by
  `mp_sum`. How x was changed, which is 0 of most, is added with a gain.

  Attributes:
    features: number of Fourier features of a noise level.
    dim: length of the vector.
    num_classes: number of classes of 'label'; None takes none.
    vector_size: length of 'vector'; None takes none.
    augment_size: length of 'augment', how x was changed; None takes none.
    dtype: of the computation; None is that of x and the parameters.
  """

  features: int
  dim: int
  num_classes: int | None = None
  vector_size: int | None = None
  augment_size: int | None = None
  dtype: Any = None

  @nn.compact
  def __call__(self, noise: Array, cond: Cond | None) -> Array:
    """Log-SNR [B] or [B, L], cond or None (all is absent), to [B, dim]."""
    batch = noise.shape[:1]
    # EDM's c_noise = ln(sigma) / 4: arXiv:2206.00364, table 1.
    levels = -(noise if noise.ndim == 2 else noise[:, None]) / 8
    h = Linear(self.dim, dtype=self.dtype, name='noise')(jnp.concatenate([
        fourier_features(levels[:, i], self.features)
        for i in range(levels.shape[1])], axis=1))
    cond = or_absent(cond, batch, self.vector_size)
    if self.augment_size is not None:
      change = cond.get('augment', jnp.zeros((*batch, self.augment_size)))
      h += Linear(self.dim, gained=True, dtype=self.dtype, name='augment')(
          change)
    if self.num_classes is not None:
      h = mp_sum(h, _Classes(
          self.num_classes, self.dim, name='class_embedding')(
              cond['label'], cond['absent']).astype(h.dtype))
    if self.vector_size is not None:
      absent = cond['absent'][:, None]
      # Before the layer too: a NaN would come back in its gradient.
      vector = Linear(self.dim, dtype=self.dtype, name='vector')(
          jnp.where(absent, 0, cond['vector']))
      nothing = _Constant(self.dim, name='absent')().astype(h.dtype)
      h = mp_sum(h, jnp.where(absent, nothing, vector))
    return mp_silu(h)


class Block(nn.Module):
  """A residual block and cosine attention, in the order of fig. 21.

  Attributes:
    features: number of channels F that leave it.
    encodes: whether it is one of the encoder, whose input is normalised pixel
      by pixel, or of the decoder.
    head_dim: channels an attention head; None has no attention.
    dropout: probability in the residual branch, when training.
    dtype: of the computation; None is that of x and the parameters.
  """

  features: int
  encodes: bool
  head_dim: int | None
  dropout: float
  dtype: Any = None

  @nn.compact
  def __call__(self, x: Array, embedding: Array, train: bool) -> Array:
    """x [B, H, W, C] and the embedding [B, E], to [B, H, W, F].

    Raises:
      ValueError: if `head_dim` does not divide F.
    """

    def linear(name: str, window: tuple[int, ...] = (), **kwargs: Any):
      return Linear(kwargs.pop('features', self.features), window,
                    dtype=self.dtype, name=name, **kwargs)

    def shortcut(x: Array) -> Array:
      return x if x.shape[-1] == self.features else linear('shortcut')(x)

    if self.encodes:
      x = pixel_norm(shortcut(x))
    y = linear('conv_1', (3, 3))(mp_silu(x))
    scale = 1 + linear('embedding', gained=True)(embedding)[:, None, None]
    y = mp_silu(y * scale.astype(y.dtype))
    y = nn.Dropout(self.dropout, deterministic=not train)(y)
    y = linear('conv_2', (3, 3))(y)
    if not self.encodes:
      x = shortcut(x)
    x = mp_sum(x, y, RESIDUAL)
    if self.head_dim is None:
      return x

    checks.check(self.features % self.head_dim == 0, 'MPUNet',
                 f'head_dim must divide the {self.features} channels',
                 self.head_dim)
    batch, height, width, _ = x.shape
    heads = linear('to_qkv', features=3 * self.features)(x).reshape(
        batch, height * width, 3, self.features // self.head_dim, self.head_dim)
    q, k, v = jnp.moveaxis(pixel_norm(heads), 2, 0)
    y = linear('to_out')(attend(q, k, v, train=train).reshape(x.shape))
    return mp_sum(x, y, RESIDUAL)
