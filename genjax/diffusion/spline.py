"""A smooth, strictly rising curve through even knots, and its inverse."""

from typing import Any, Callable

import jax.numpy as jnp
import numpy as np

from genjax.types import Array

_SWEEPS = 60  # each halves what the slopes are off


def rising_curve(
    knots: np.ndarray
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
  """The curve on [0, 1] through the knots, and its inverse; both elementwise.

  The rational quadratic spline of two continuous derivatives, Delbourgo and
  Gregory 1983 (doi:10.1093/imanum/3.2.141). It rises whatever its slopes at
  the knots, so far as these are positive, and is inverted by the root of a
  quadratic. Both are constant beyond the ends.

  Args:
    knots: [T + 1] strictly rising, at 0, 1 / T, ..., 1.
  """
  num, rises = knots.size - 1, np.diff(knots)
  slopes = _slopes(rises)
  # In units of the rise of the piece on whose left or right they are.
  parts = (knots[:-1], rises, slopes[:-1] / rises, slopes[1:] / rises)

  def piece(k: Array, dtype: Any) -> list[Array]:
    k = jnp.clip(k, 0, num - 1)
    return [k.astype(dtype), *(jnp.asarray(a, dtype)[k] for a in parts)]

  def curve(t: Array) -> Array:
    at = _within(t) * num
    k, low, rise, left, right = piece(jnp.floor(at).astype(int), at.dtype)
    place = at - k
    bend = place * (1 - place)
    share = (place**2 + left * bend) / (1 + (left + right - 2) * bend)
    return low + rise * share

  def inverse(y: Array) -> Array:
    k, low, rise, left, right = piece(
        jnp.searchsorted(jnp.asarray(knots, y.dtype), y, side='right') - 1,
        y.dtype)
    share = _within((y - low) / rise)
    b = left - (left + right - 2) * share
    root = jnp.sqrt(jnp.maximum(b**2 + 4 * (1 - b) * share, 0.0))
    return (k + 2 * share / (b + root)) / num

  return curve, inverse


def _within(x: Array) -> Array:
  """x pressed into [0, 1]; jnp.clip would halve the slope at the ends."""
  return jnp.where(x < 0, 0.0, jnp.where(x > 1, 1.0, x))


def _slopes(rises: np.ndarray) -> np.ndarray:
  """Slopes [T + 1] at the knots, a step apart, of rises [T] between them.

  By sweeps to the equality of the curvatures on both sides of every knot, from
  the geometric mean of the rises beside it. That is kept at both ends, where a
  rise is made up: as far from the last as that is from the one before.
  """
  logs = np.pad(np.log(rises), 1, 'reflect', reflect_type='odd')
  slopes = np.exp(0.5 * (logs[:-1] + logs[1:]))
  before, after = rises[:-1], rises[1:]
  a, c = 1 / before + 1 / after, before + after
  for _ in range(_SWEEPS):
    b = slopes[:-2] / before + slopes[2:] / after - 2
    slopes[1:-1] = 2 * c / (b + np.sqrt(b**2 + 4 * a * c))
  return slopes
