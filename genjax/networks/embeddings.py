"""What a network is told besides its input: noise level, class and the like.

A network says what it takes by attributes: `num_classes` of a condition that
holds 'label' int32 [B], `vector_size` V of one that holds 'vector' [B, V], and
`image_channels` C of one that holds 'image' [B, H, W, C]; `augment_size` A of
one that may hold 'augment' [B, A], how x was changed, which is never absent and
0 where it is not told; `noise_levels` of how many levels it is given.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax import checks
from genjax.networks.init import fan_avg_uniform
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Shape


class Sinusoid(NamedTuple):
  """Frequencies of the sinusoidal features of one number.

  The features of u are sin and cos of scale * u * w_i, with frequencies w_i
  from 1 down to 1 / max_period, equally spaced in their logarithm.
  """

  scale: float = 1.0  # multiplies the number first
  max_period: float = 16.0  # ratio of the highest frequency to the lowest
  flip_sin_to_cos: bool = False  # cosines before sines
  freq_shift: float = 1.0  # 1: the lowest frequency is 1 / max_period exactly


# The log-SNR lies in about [-20, 20] nats. Its features range from a wave of
# 2 pi nats, which tells neighbouring levels apart, to one that is monotone
# over the whole range.
LOG_SNR = Sinusoid()
# EDM's noise embedding, arXiv:2206.00364 table 1: c_noise = ln(sigma) / 4 is
# -log_snr / 8, in the frequencies of DDPM.
EDM_NOISE = Sinusoid(scale=-1 / 8, max_period=1e4)
# DDPM, arXiv:2006.11239: a raw step 0..999 instead of the log-SNR.
TIMESTEP = Sinusoid(scale=1.0, max_period=1e4)


def sinusoidal_features(u: Array, dim: int, sinusoid: Sinusoid) -> Array:
  """Sines and cosines of a number, dimensionless.

  Vaswani et al. 2017, arXiv:1706.03762 section 3.5, in the variant of DDPM
  (arXiv:2006.11239): all sines, then all cosines.

  Args:
    u: [B], the number, of any dtype.
    dim: number of features, even.
    sinusoid: frequencies and layout.

  Returns:
    [B, dim], float32 or wider: whole numbers up to 1000, and their features,
    are not to be told apart in bfloat16.

  Raises:
    ValueError: if `dim` is odd or leaves fewer frequencies than freq_shift.
  """
  u, half = widen(u), dim // 2
  checks.check(dim % 2 == 0 and half > sinusoid.freq_shift,
               'sinusoidal_features',
               f'dim must be even and above {2 * sinusoid.freq_shift:g}', dim)
  exponents = np.arange(half) / (half - sinusoid.freq_shift)
  frequencies = sinusoid.scale * sinusoid.max_period ** -exponents
  angles = u[:, None] * jnp.asarray(frequencies, u.dtype)
  parts = [jnp.sin(angles), jnp.cos(angles)]
  return jnp.concatenate(parts[::-1] if sinusoid.flip_sin_to_cos else parts, 1)


def position_features(height: int, width: int, dim: int) -> np.ndarray:
  """Fixed sines and cosines of the position on a grid, dimensionless.

  The first half of the features is of the row, the second of the column, as
  in DiT (arXiv:2212.09748) and MAE (arXiv:2111.06377).

  Args:
    height: number of rows H.
    width: number of columns W.
    dim: number of features, a multiple of 4.

  Returns:
    [H * W, dim] float32, row by row.

  Raises:
    ValueError: if `dim` is no multiple of 4.
  """
  checks.check(dim % 4 == 0, 'position_features',
               'dim must be a multiple of 4', dim)
  frequencies = 1e4 ** -(np.arange(dim // 4) / (dim // 4))
  features = []
  for position in np.mgrid[:height, :width].reshape(2, -1):
    angles = position[:, None] * frequencies
    features += [np.sin(angles), np.cos(angles)]
  return np.concatenate(features, axis=1).astype(np.float32)


def check_images(network: Any, x: Array, noise: Array, cond: Cond | None
                 ) -> None:
  """Raises ValueError unless a U-Net takes these inputs, and has its levels."""
  where, last = type(network).__name__, len(network.channels) - 1
  checks.check_rank(where, 'x', x, 4)
  checks.check(not any(size % network.factor for size in x.shape[1:3]), where,
               f'image height and width must be multiples of {network.factor}',
               f'{x.shape[1]} x {x.shape[2]}')
  check_inputs(network, x, noise, cond)
  checks.check(set(network.attention_levels) <= set(range(last + 1)), where,
               f'attention_levels must be within 0..{last}',
               tuple(network.attention_levels))


def check_inputs(network: Any, x: Array, noise: Array, cond: Cond | None
                 ) -> None:
  """Raises ValueError unless the inputs are what `network` says it takes."""
  where, batch = type(network).__name__, x.shape[:1]
  levels = network.noise_levels
  shape = batch if levels == 1 else (*batch, levels)
  checks.check(noise.shape == shape, where,
               f'noise must have shape {shape} like the batch of x',
               f'shape {noise.shape}')
  takes = {'label': (network.num_classes, batch),
           'vector': (network.vector_size, (*batch, network.vector_size)),
           'augment': (network.augment_size, (*batch, network.augment_size)),
           'image': (getattr(network, 'image_channels', None), (
               *x.shape[:-1], getattr(network, 'image_channels', None)))}
  shapes = {name: shape for name, (size, shape) in takes.items()
            if size is not None}
  if cond is None:
    return
  checks.check(bool(shapes), where, 'cond must be None for a network that takes'
               ' no condition', f'one of {", ".join(sorted(cond))}')
  shapes['absent'] = batch
  if 'augment' not in cond:
    shapes.pop('augment', None)
  checks.check(set(cond) == set(shapes), where,
               f'cond must hold {", ".join(sorted(shapes))}',
               ', '.join(sorted(cond)) or 'nothing')
  for name, shape in shapes.items():
    checks.check(cond[name].shape == shape, where,
                 f'{name} must have shape {shape}', f'shape {cond[name].shape}')
  for name, kind in (('label', jnp.integer), ('absent', jnp.bool_)):
    checks.check(name not in cond or jnp.issubdtype(cond[name].dtype, kind),
                 where, f'{name} must hold '
                 f'{"integers" if name == "label" else "truth values"}',
                 cond.get(name, x).dtype)


def class_rows(table: Array, label: Array, absent: Array) -> Array:
  """The row of each class in a table [K + 1, D] of K classes and "no class".

  Args:
    table: [K + 1, D]; the last row is that of a class that is absent, as
      classifier-free guidance has it (arXiv:2207.12598).
    label: [B], whole numbers. One outside 0..K - 1 gives NaN.
    absent: [B], whether there is none.

  Returns:
    [B, D].
  """
  classes = len(table) - 1
  # The number of "no class" may not fit in the dtype of the labels, and
  # jnp.take would wrap a negative one round to it.
  label = label.astype(jnp.int32)
  label = jnp.where((label < 0) | (label >= classes), classes + 1, label)
  label = jnp.where(absent, classes, label)
  return jnp.take(table, label, axis=0, mode='fill', fill_value=jnp.nan)


def or_absent(cond: Cond | None, batch: Shape, vector_size: int | None) -> Cond:
  """`cond`, or where it is None a condition that is absent for all."""
  return {'absent': jnp.ones(batch, bool), 'label': jnp.zeros(batch, int),
          'vector': jnp.zeros((*batch, vector_size or 0))
          } if cond is None else cond


class ClassEmbedding(nn.Module):
  """A learnt vector for each class, and one for "no class".

  See `class_rows`.
  """

  num_classes: int
  dim: int
  init_std: float = 1.0
  dtype: Any = None

  @nn.compact
  def __call__(self, label: Array, absent: Array) -> Array:
    """Labels, whole numbers [B], and whether absent [B], to vectors [B, dim].
    """
    table = self.param('embedding', nn.initializers.normal(self.init_std),
                       (self.num_classes + 1, self.dim))
    if self.dtype is not None:
      table = table.astype(self.dtype)
    return class_rows(table, label, absent)


class VectorEmbedding(nn.Module):
  """A dense layer of a vector, and a learnt vector where that is absent."""

  dim: int
  dtype: Any = None

  @nn.compact
  def __call__(self, vector: Array, absent: Array) -> Array:
    """Vectors [B, V] and whether absent [B], to vectors [B, dim]."""
    absent = absent[:, None]
    # Before the layer too: a NaN would come back in its gradient.
    h = nn.Dense(self.dim, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='dense')(jnp.where(absent, 0, vector))
    nothing = self.param('absent', nn.initializers.normal(1.0), (self.dim,))
    return jnp.where(absent, nothing.astype(h.dtype), h)


class ImageInput(nn.Module):
  """An image beside x, channel by channel, and a learnt colour where absent.

  Saharia et al., arXiv:2104.07636, section 2.
  """

  channels: int

  @nn.compact
  def __call__(self, x: Array, cond: Cond | None) -> Array:
    """x [B, H, W, C] and 'image' [B, H, W, channels] of cond, joined.

    Absent for all where cond is None.
    """
    nothing = self.param('absent', nn.initializers.zeros_init(),
                         (self.channels,))
    image = jnp.broadcast_to(nothing, (*x.shape[:-1], self.channels))
    if cond is not None:
      image = jnp.where(broadcast_right(cond['absent'], x.ndim), image,
                        cond['image'])
    return jnp.concatenate([x, image], axis=-1)


class Conditioning(nn.Module):
  """One vector for noise level, class and the like, as every block receives it.

  Sinusoidal features, dense, swish, dense (DDPM, arXiv:2006.11239 appendix
  B), and the vectors of what else is told added. Of two noise levels the
  features are concatenated, and so are the numbers of an augmentation, as in
  EDM (arXiv:2206.00364, appendix F.2): zeros of these add nothing. Swish
  follows in the blocks.
  """

  features: int  # number of sinusoidal features of a level
  dim: int
  num_classes: int | None = None
  vector_size: int | None = None
  noise: Sinusoid = LOG_SNR
  augment_size: int | None = None
  class_init_std: float = 1.0
  dtype: Any = None

  @nn.compact
  def __call__(self, noise: Array, cond: Cond | None) -> Array:
    """noise [B] or [B, L], cond or None (all is absent), to [B, dim]."""
    batch = noise.shape[:1]
    levels = noise if noise.ndim == 2 else noise[:, None]
    h = jnp.concatenate([
        sinusoidal_features(levels[:, i], self.features, self.noise)
        for i in range(levels.shape[1])], axis=1)
    h = nn.Dense(self.dim, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='linear_1')(h)
    if self.augment_size is not None:
      zeros = jnp.zeros((*batch, self.augment_size))
      h += nn.Dense(self.dim, use_bias=False, kernel_init=fan_avg_uniform,
                    dtype=self.dtype, name='augment')(
                        (cond or {}).get('augment', zeros))
    h = nn.Dense(self.dim, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='linear_2')(nn.swish(h))
    cond = or_absent(cond, batch, self.vector_size)
    if self.num_classes is not None:
      h += ClassEmbedding(
          self.num_classes, self.dim, self.class_init_std, self.dtype,
          name='class_embedding')(cond['label'], cond['absent'])
    if self.vector_size is not None:
      h += VectorEmbedding(self.dim, self.dtype, name='vector_embedding')(
          cond['vector'], cond['absent'])
    return h
