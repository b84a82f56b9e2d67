"""Invertible maps with known log-determinants, as pure functions.

A map whose range is not the whole line inverts what lies outside to an infinity
(of the side that it is on, but in chains), and never to a number; it never maps
to an end of its range, but to the number next to it.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.distributions.params import finite
from genjax.distributions.params import floating
from genjax.distributions.params import quotient
from genjax.distributions.params import within
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Params


class Bijector(NamedTuple):
  """An invertible map y = f(x; params), said as three pure functions.

  Like a distribution it stores no shape and no parameter. Its params
  broadcast against the batch of x.
  """

  forward: Callable[[Params, Array], Array]  # (params, x) -> y
  inverse: Callable[[Params, Array], Array]  # (params, y) -> x
  # (params, x) -> log |det dy/dx| [*batch], summed over the event.
  log_det: Callable[[Params, Array], Array]
  event_ndims: int = 0  # static rank of what log_det sums over


class AffineParams(NamedTuple):
  """Shift, and a scale of either sign but not zero."""

  shift: Array
  scale: Array


def _affine(params: AffineParams) -> AffineParams:
  shift, scale = floating(params)
  return AffineParams(
      finite(shift), jnp.where(scale == 0, jnp.nan, finite(scale)))


def _affine_forward(params: AffineParams, x: Array) -> Array:
  shift, scale = _affine(params)
  return shift + scale * x


def _affine_inverse(params: AffineParams, y: Array) -> Array:
  shift, scale = _affine(params)
  return quotient(y - shift, scale)


def _affine_log_det(params: AffineParams, x: Array) -> Array:
  params = _affine(params)
  nats = jnp.log(jnp.abs(params.scale))
  return jnp.broadcast_arrays(nats, params.shift, x)[0]


affine = Bijector(_affine_forward, _affine_inverse, _affine_log_det)
"""y = shift + scale x, elementwise; NaN where scale is 0 or infinite."""


def _onto(high: float, inverse: Callable[[Array], Array]):
  """The inverse of a map onto (0, high), infinite at and beyond the ends."""

  def extended(params: tuple[()], y: Array) -> Array:
    y = _float(y)
    outside = (y <= 0) | (y >= high)
    x = inverse(jnp.where(outside, 0.5, y))
    return jnp.where(outside, jnp.where(y <= 0, -jnp.inf, jnp.inf), x)

  return extended


def _float(x: Array) -> Array:
  return jnp.asarray(x, jnp.result_type(x, float))


def _inside(high: float, forward: Callable[[Array], Array]):
  """A map onto (0, high), never rounded to an end, which has no inverse."""
  return lambda params, x: within(forward(_float(x)), 0, high)


exp = Bijector(
    forward=_inside(math.inf, jnp.exp),
    inverse=_onto(math.inf, jnp.log),
    log_det=lambda params, x: _float(x))
"""y = e^x, elementwise, onto (0, inf); params are ()."""


softplus = Bijector(
    forward=_inside(math.inf, jax.nn.softplus),
    inverse=_onto(math.inf, lambda y: y + jnp.log(-jnp.expm1(-y))),
    log_det=lambda params, x: jax.nn.log_sigmoid(_float(x)))
"""y = log(1 + e^x), elementwise, onto (0, inf); params are ()."""


sigmoid = Bijector(
    forward=_inside(1.0, jax.nn.sigmoid),
    inverse=_onto(1.0, lambda y: jnp.log(y) - jnp.log1p(-y)),
    log_det=lambda params, x: (jax.nn.log_sigmoid(_float(x))
                               + jax.nn.log_sigmoid(-_float(x))))
"""y = 1 / (1 + e^-x), elementwise, onto (0, 1); params are ().

Above 17 in float32, and 6 in bfloat16, y is the number next to 1; below zero it
keeps all its digits.
"""


def chain(*bijectors: Bijector) -> Bijector:
  """One bijector after the other, the first given first.

  Args:
    *bijectors: of any ranks; `chain(affine, exp)` is exp(shift + scale x).

  Returns:
    A bijector whose params are the tuple of theirs, and whose rank is the
    highest of theirs.
  """
  event_ndims = max((b.event_ndims for b in bijectors), default=0)

  def forward(params: Params, x: Array) -> Array:
    for bijector, p in zip(bijectors, params, strict=True):
      x = bijector.forward(p, x)
    return x

  def inverse(params: Params, y: Array) -> Array:
    for bijector, p in reversed(list(zip(bijectors, params, strict=True))):
      # What is beyond one range stays so, and gives no slope to any params.
      beyond = jnp.isinf(y)
      x = bijector.inverse(p, jnp.where(beyond, 0.5, y))
      y = jnp.where(beyond, y, x)
    return y

  def log_det(params: Params, x: Array) -> Array:
    total = sum_trailing(jnp.zeros_like(x), event_ndims)
    for bijector, p in zip(bijectors, params, strict=True):
      nats = bijector.log_det(p, x)
      total += sum_trailing(nats, event_ndims - bijector.event_ndims)
      x = bijector.forward(p, x)
    return total

  return Bijector(forward, inverse, log_det, event_ndims)
