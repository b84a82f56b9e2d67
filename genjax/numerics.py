"""Small numerical building blocks shared by every floor."""

import math
from typing import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape


def broadcast_right(a: Array, ndim: int) -> Array:
  """Appends axes of size one to `a` until it has `ndim` axes.

  A per-example coefficient [B] then multiplies a batch [B, H, W, C].
  """
  a = jnp.asarray(a)
  return a.reshape(a.shape + (1,) * (ndim - a.ndim))


def widen(x: Array | float) -> Array:
  """`x` in float32, or float64 where it is that; whole numbers in float.

  For times, sums and whatever else must not be rounded to the dtype of data.
  """
  x = jnp.asarray(x)
  return x.astype(jnp.promote_types(jnp.result_type(x, float), jnp.float32))


def scaled(factor: Array, x: Array) -> Array:
  """factor x, which is 0 where the factor is 0 though x be infinite."""
  return jnp.where(factor == 0, 0.0, factor * x)


def sum_trailing(x: Array, ndims: int) -> Array:
  """Sums `x` over its last `ndims` axes."""
  return jnp.sum(x, axis=tuple(range(x.ndim - ndims, x.ndim)))


def mean_per_example(x: Array) -> Array:
  """Mean of `x` [B, ...] over all axes but the first: [B], also for B = 0."""
  return jnp.mean(x, axis=tuple(range(1, x.ndim)))


def batch_mean(batch: Mapping[str, Array], values: Array) -> Array:
  """Mean of `values` [B] over the examples of `batch` that its mask keeps.

  Without a 'mask' [B] of ones and zeros in it, all are kept. What it leaves out
  may be NaN. In 32 bits or more: those of 16 cannot count beyond 256 or 2048.
  """
  values = widen(values)
  mask = widen(batch.get('mask', jnp.ones_like(values)))
  return jnp.sum(scaled(mask, values)) / jnp.sum(mask)


def soft_clip(x: Array, low: float, high: float) -> Array:
  """`x` pressed into (low, high) by tanh, with slope 1 half-way between.

  For logarithms of scales: bounded by construction, with a gradient everywhere.
  """
  centre, half = (low + high) / 2, (high - low) / 2
  return centre + half * jnp.tanh((x - centre) / half)


def log_mean_exp(x: Array, axis: int = 0) -> Array:
  """log of the mean of exp(x) along `axis`, without overflow."""
  return jax.nn.logsumexp(x, axis=axis) - jnp.log(x.shape[axis])


def safe_norm(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
  """Euclidean norm of `x` along `axis`, with gradient 0 at the origin.

  In the unit of the largest entry, of which the square may be no number.
  """
  x = jnp.asarray(x, jnp.result_type(x, float))
  most = jax.lax.stop_gradient(
      jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
  unit = jnp.where((most > 0) & (most < jnp.inf), most, 1)
  squared = jnp.sum(jnp.square(x / unit), axis=axis)
  zero = squared == 0  # a NaN is not
  root = jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, squared)))
  return root * jnp.squeeze(unit, axis)


def unit_rms(x: Array, axis: int | tuple[int, ...]) -> Array:
  """`x` over the root of its mean square along `axis`; 0 stays 0.

  x / sqrt(mean x^2 + 1e-8), computed in float32 at least, in x's dtype: so of
  what is not tiny the mean square becomes 1, and every scale of x is the same.
  """
  wide = widen(x)
  square = jnp.mean(jnp.square(wide), axis=axis, keepdims=True)
  return (wide * jax.lax.rsqrt(square + 1e-8)).astype(x.dtype)


def standard_deviation(x: Array) -> Array:
  """Standard deviations, of divisor N, of `x` [N, ...].

  They are 0 with gradient 0 where all agree, and NaN where N is 0.
  """
  return safe_norm(x - jnp.mean(x, axis=0), axis=0) / jnp.sqrt(
      jnp.asarray(len(x), x.dtype))


def fold_in_each(key: Key, index: Array) -> Key:
  """One key an example: keys [B] from one key and indices [B].

  Noise drawn from these does not depend on how a batch is split over devices
  or calls, only on the index of the example.
  """
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def labels_each(key: Key, num: int, classes: int) -> Array:
  """Labels [num] of 0..classes - 1, the i-th drawn by the key of index i."""
  return jax.vmap(lambda k: jax.random.randint(k, (), 0, classes))(
      fold_in_each(key, jnp.arange(num)))


def normal_each(keys: Key, shape: Shape, dtype=jnp.float32) -> Array:
  """Standard normal noise [B, *shape], row i drawn from `keys[i]`."""
  return jax.vmap(lambda k: jax.random.normal(k, shape, dtype))(keys)


def quadrature(
    log_density: Callable[[Array], Array], centre: float, scale: float
) -> tuple[float, float, float]:
  """Log integral, mean and standard deviation of a density on the line.

  By the trapezoidal rule to 12 scales around the centre, where for anything
  Gaussian it is exact to rounding; in logs, so that nothing underflows.

  Args:
    log_density: x [N] -> nats [N], up to any constant.
    centre, scale: a mean and a standard deviation about that of the density.
  """
  z, step = np.linspace(-12, 12, 2001, retstep=True)
  x = centre + scale * z
  nats = np.asarray(log_density(jnp.asarray(x)))
  weights = special.softmax(nats)
  mean = float(weights @ x)
  return (float(special.logsumexp(nats) + math.log(scale * step)), mean,
          math.sqrt(weights @ (x - mean)**2))
