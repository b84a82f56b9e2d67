"""Draws of whole numbers that keep the rates of rare events.

Uniform floats at 32 bits are multiples of 2^-23, too coarse for an event of
probability 1e-6; here 32 random bits are used as they are. The samplers of
jax.random also decide by log-gamma functions at 32 bits, which at a mean of 1e5
have lost the digits that tell neighbours apart (a chi-square test of 4e6 draws
rejects its Poisson law); here a log-mass decides.
"""

import functools
from typing import Callable

import jax
import jax.numpy as jnp

from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

# Up to here comparing with every threshold is faster than a binary search.
_FEW = 32


def draw_bits(key: Key, shape: Shape) -> Array:
  """Uniform whole numbers 0 ... 2^32 - 1, uint32."""
  return jax.random.bits(key, shape, jnp.uint32)


def thresholds(p: Array) -> tuple[Array, Array]:
  """Integer form of an inverse CDF, exact to 2^-32 a category.

  Category k has the u in [c_(k-1), c_k) of the 2^32 values of u, but the
  largest has none there: it takes all u that no other one has, and with them
  what the probabilities, as rounded floats, lack of one. Of p 2^32 the whole
  and the fractional parts are summed apart, in integers, so that no sum is
  rounded, and categories too rare to have a u of their own share one.

  Args:
    p: probabilities [..., K], K <= 2^20.

  Returns:
    c [..., K] uint32, and the index [...] of the largest category.
  """
  num = p.shape[-1]
  largest = jnp.argmax(p, axis=-1)
  scaled = jnp.where(jnp.arange(num) == largest[..., None], 0, p * 2.0**32)
  bits = 32 - num.bit_length()  # so that a sum of `num` fractions fits
  whole = jnp.floor(scaled)
  part = jnp.round((scaled - whole) * 2.0**bits)
  wholes, parts = jnp.cumsum(
      jnp.stack([whole, part]).astype(jnp.uint32), axis=-1)
  return wholes + (parts >> bits), largest


def draw_category(key: Key, p: Array, shape: Shape) -> Array:
  """Indices [*shape, *batch], int32, with probabilities p [*batch, K]."""
  bounds, largest = thresholds(p)
  num = p.shape[-1]
  u = draw_bits(key, (*shape, *largest.shape))
  if num <= _FEW:
    x = jnp.sum(u[..., None] >= bounds, axis=-1, dtype=jnp.int32)
  else:
    search = functools.partial(jnp.searchsorted, side='right')
    x = jnp.vectorize(search, signature='(k),()->()')(bounds, u)
  return jnp.where(x == num, largest, x).astype(jnp.int32)


def hat(std: Array) -> tuple[Array, Array, Array]:
  """a, b and M of `draw_count`, for a standard deviation.

  The density of its proposals, times M, is above every binomial and every
  Poisson distribution of that standard deviation.
  """
  b = 1.15 + 2.53 * std
  return 0.0248 * b - 0.02, b, jnp.minimum(2.6, 1.13 + 1.2 / std)


def draw_count(
    key: Key,
    log_mass: Callable[[Array], Array],
    mean: Array,
    std: Array,
    shape: Shape,
) -> Array:
  """Draws of a binomial or Poisson distribution by transformed rejection.

  Hörmann (1993, The transformed rejection method for generating Poisson random
  variables), PTRS, with a hat that also fits means below 10, and without the
  quick acceptance that spares no work where all draws go in step.

  Args:
    key: of the draws.
    log_mass: nats at whole numbers, and -inf outside of the support.
    mean: of the distribution, [*batch]; where it is NaN, the draw is -1.
    std: its standard deviation.
    shape: [*shape, *batch] of the draws.

  Returns:
    whole numbers of the dtype of `mean`, -1 where int32 does not hold them.
  """
  a, b, bound = hat(std)

  def propose(state):
    key, x, open_ = state
    key, key_u, key_v = jax.random.split(key, 3)
    u = jax.random.uniform(key_u, shape, mean.dtype, -0.5, 0.5)
    edge = jnp.maximum(0.5 - jnp.abs(u), 2.0**-25)
    slope = a / jnp.square(edge) + b
    proposal = jnp.floor((2 * a / edge + b) * u + mean + 0.5)
    v = (draw_bits(key_v, shape).astype(mean.dtype) + 1) * 2.0**-32
    accepted = jnp.log(v * bound / slope) <= log_mass(proposal)
    return key, jnp.where(open_ & accepted, proposal, x), open_ & ~accepted

  start = jnp.full(shape, -1, mean.dtype)
  # A comparison with NaN would never accept.
  open_ = jnp.broadcast_to(~jnp.isnan(mean), shape)
  _, x, _ = jax.lax.while_loop(
      lambda state: jnp.any(state[2]), propose, (key, start, open_))
  return jnp.where(x < 2.0**31, x, -1)
