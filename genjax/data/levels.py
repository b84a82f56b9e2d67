"""Pixels on K levels in [-1, 1], and uniform noise between the levels."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.numerics import fold_in_each
from genjax.types import Array
from genjax.types import Key


def on_levels(x: Array, num_levels: int) -> Array:
  """The level 2 k / (num_levels - 1) - 1 nearest to each value of x.

  Digits are stored as 0..255, where none of their 17 levels but the ends is a
  whole number.
  """
  top = num_levels - 1
  # A compiler may multiply by 1 / top, which makes the last one more than 1.
  return jnp.clip(2 * jnp.round((x + 1) * (top / 2)) / top - 1, -1, 1)


def levels_of(x: np.ndarray) -> int:
  """On how many even levels in [-1, 1] images x lie; 256 if not on fewer.

  Digits have 17, that are rounded to whole numbers of 0..255.
  """
  num = len(np.unique(x))
  fits = 2 <= num <= 256 and np.abs(np.asarray(
      on_levels(jnp.asarray(x), num)) - x).max() <= 1.001 / 255
  return num if fits else 256


def level_width(num_levels: int) -> float:
  """The distance between two levels of a pixel in [-1, 1]."""
  return 2 / (num_levels - 1)


def dequantise(key: Key, x: Array, index: Array, num_levels: int) -> Array:
  """x [B, ...] on levels, with uniform noise of one level's width added.

  A density of the result bounds the mass of the levels: Theis et al.,
  arXiv:1511.01844, section 3.1.

  Args:
    key: folded with each example's index.
    x: values on `num_levels` levels.
    index: [B] of the examples.
    num_levels: of a pixel.
  """
  noise = jax.vmap(lambda k: jax.random.uniform(
      k, x.shape[1:], minval=-0.5, maxval=0.5))(fold_in_each(key, index))
  return x + level_width(num_levels) * noise
