"""What a network is told besides its input: the noise level and the class."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax import checks
from genjax.networks.init import fan_avg_uniform
from genjax.numerics import widen
from genjax.types import Array


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


def check_inputs(where: str, x: Array, log_snr: Array, label: Array | None,
                 num_classes: int | None) -> None:
  """Raises ValueError unless the inputs keep the contract of a network."""
  batch = x.shape[:1]
  checks.check(log_snr.shape == batch, where,
               f'log_snr must have shape {batch} like the batch of x',
               f'shape {log_snr.shape}')
  if label is None:
    return
  checks.check(num_classes is not None, where,
               'label must be None for a network without classes',
               f'a label of shape {label.shape}')
  checks.check(label.shape == batch, where,
               f'label must have shape {batch} like the batch of x',
               f'shape {label.shape}')
  checks.check(jnp.issubdtype(label.dtype, jnp.integer), where,
               'label must hold integers', label.dtype)


class ClassEmbedding(nn.Module):
  """A learnt vector for each class, and one for "no class".

  Classifier-free guidance, arXiv:2207.12598: the row `num_classes` is drawn
  for a label equal to `num_classes`, and for all where label is None. A label
  outside 0..num_classes gives NaN.
  """

  num_classes: int
  dim: int
  init_std: float = 1.0
  dtype: Any = None

  @nn.compact
  def __call__(self, label: Array | None, batch: int) -> Array:
    """Labels [batch] or None to vectors [batch, dim]."""
    table = self.param('embedding', nn.initializers.normal(self.init_std),
                       (self.num_classes + 1, self.dim))
    if self.dtype is not None:
      table = table.astype(self.dtype)
    if label is None:
      return jnp.broadcast_to(table[-1], (batch, self.dim))
    # jnp.take would wrap a negative label round to "no class".
    label = jnp.where(label < 0, self.num_classes + 1, label)
    return jnp.take(table, label, axis=0, mode='fill', fill_value=jnp.nan)


class Conditioning(nn.Module):
  """One vector for noise level and class, as every block receives it.

  Sinusoidal features, dense, swish, dense (DDPM, arXiv:2006.11239 appendix
  B), and the class's vector added. Swish follows in the blocks.
  """

  features: int  # number of sinusoidal features
  dim: int
  num_classes: int | None = None
  noise: Sinusoid = LOG_SNR
  class_init_std: float = 1.0
  dtype: Any = None

  @nn.compact
  def __call__(self, log_snr: Array, label: Array | None) -> Array:
    """log_snr [B], label [B] or None, to [B, dim]."""
    h = sinusoidal_features(log_snr, self.features, self.noise)
    h = nn.Dense(self.dim, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='linear_1')(h)
    h = nn.Dense(self.dim, kernel_init=fan_avg_uniform, dtype=self.dtype,
                 name='linear_2')(nn.swish(h))
    if self.num_classes is None:
      return h
    return h + ClassEmbedding(
        self.num_classes, self.dim, self.class_init_std, self.dtype,
        name='class_embedding')(label, log_snr.shape[0])
