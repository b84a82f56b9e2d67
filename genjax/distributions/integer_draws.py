"""Draws of whole numbers that keep the rates of rare events.

Uniform floats at 32 bits are multiples of 2^-23, too coarse for an event of
probability 1e-6; here 32 random bits are used as they are. The samplers of
jax.random also decide by log-gamma functions at 32 bits, which at a mean of 1e5
have lost the digits that tell neighbours apart (a chi-square test of 4e6 draws
rejects its Poisson law); here a log-mass decides. And float32 has no odd
numbers beyond 2^24: a large count is two floats, or a distance from a whole
number near the mean, and is put together in int32.
"""

import functools
from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

# Up to here comparing with every threshold is faster than a binary search.
_FEW = 32


def parts(x: Array) -> tuple[Array, Array]:
  """Two numbers of sum x, each of which float32 holds.

  Those of int32 have up to 31 digits, float32 has 24: the second are the last
  seven. What is of no such type is its own first part, and the second is 0.
  """
  x = jnp.asarray(x)
  if not (jnp.issubdtype(x.dtype, jnp.integer) and x.dtype.itemsize >= 4):
    return x, jnp.zeros_like(x)
  low = x & 127
  return x - low, low


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
    centre: Array,
    rest: Array,
    std: Array,
    shape: Shape,
) -> Array:
  """Draws of a binomial or Poisson distribution by transformed rejection.

  Hörmann (1993, The transformed rejection method for generating Poisson random
  variables), PTRS, with a hat that also fits means below 10, and without the
  quick acceptance that spares no work where all draws go in step.

  Args:
    key: of the draws.
    log_mass: nats at the centre plus whole numbers, of which it is a function,
      and -inf outside of the support.
    centre: a whole number of int32 near to the mean, as a float [*batch].
    rest: the mean less the centre, [*batch]; where it is NaN, the draw is -1.
    std: the standard deviation, [*batch].
    shape: [*shape, *batch] of the draws.

  Returns:
    int32, -1 where that does not hold them.
  """
  a, b, bound = hat(std)
  dtype = rest.dtype

  def propose(state):
    key, x, open_ = state
    key, key_u, key_v = jax.random.split(key, 3)
    u = draw_bits(key_u, shape).astype(jnp.int32).astype(dtype) * 2.0**-32
    edge = jnp.maximum(0.5 - jnp.abs(u), 2.0**-25)
    slope = a / jnp.square(edge) + b
    proposal = jnp.floor((2 * a / edge + b) * u + rest + 0.5)
    v = (draw_bits(key_v, shape).astype(dtype) + 1) * 2.0**-32
    accepted = jnp.log(v * bound / slope) <= log_mass(proposal)
    return key, jnp.where(open_ & accepted, proposal, x), open_ & ~accepted

  # A comparison with NaN would never accept.
  good = jnp.broadcast_to(~jnp.isnan(rest), shape)
  _, x, _ = jax.lax.while_loop(
      lambda state: jnp.any(state[2]), propose,
      (key, jnp.zeros(shape, dtype), good))
  first = jnp.where(jnp.isnan(centre), 0, centre).astype(jnp.int32)
  good &= x <= (np.int32(2**31 - 1) - first).astype(dtype)
  return jnp.where(good, first + jnp.where(good, x, 0).astype(jnp.int32), -1)


def nearest_count(mean: Array) -> Array:
  """The whole number of int32 that is nearest to a mean, as a float."""
  most = np.floor(np.nextafter(np.asarray(2**31, mean.dtype), 0))
  return jnp.minimum(jnp.round(mean), most)
