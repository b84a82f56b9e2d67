"""What every family does with its params: one dtype, NaN where they are bad."""

from typing import TypeVar

import jax.numpy as jnp

from genjax.types import Array
from genjax.types import Shape

P = TypeVar('P', bound=tuple)


def floating(params: P) -> P:
  """`params`, a NamedTuple, as arrays of their common floating dtype."""
  dtype = jnp.result_type(*params, float)
  return type(params)(*(jnp.asarray(p, dtype) for p in params))


def positive(x: Array) -> Array:
  """`x` where it is above zero, else NaN."""
  return jnp.where(x > 0, x, jnp.nan)


def size(shape: Shape, params: tuple[Array, ...]) -> Shape:
  """Shape of draws: `shape`, then what scalar `params` broadcast to."""
  return (*shape, *jnp.broadcast_shapes(*(p.shape for p in params)))


def minus_inf_where(outside: Array, nats: Array) -> Array:
  """-inf `outside` of the support, but NaN where bad params made it NaN."""
  return jnp.where(outside & ~jnp.isnan(nats), -jnp.inf, nats)
