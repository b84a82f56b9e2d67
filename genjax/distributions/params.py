"""What every family does with its params: one dtype, NaN where they are bad."""

from typing import Any, TypeVar

from jax import lax
import jax.numpy as jnp

from genjax.distributions.base import Distribution
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

P = TypeVar('P', bound=tuple)


def floating(params: P) -> P:
  """`params`, a NamedTuple, as arrays of their common floating dtype."""
  dtype = jnp.result_type(*params, float)
  return type(params)(*(jnp.asarray(p, dtype) for p in params))


def rounded(dist: Distribution, *, draws: Any = None) -> Distribution:
  """`dist` for params and values of any dtype, computed in float32 or better.

  Noise of jax.random at 16 bits has another law (the standard deviation of the
  logistic in bfloat16 is four times too large), and a sum of logarithms loses
  what digits there are. What is computed is rounded to the common dtype of
  params and value, but draws to `draws` if it is given.
  """

  cast = lax.convert_element_type

  def computed(f, to=None):
    def of(params, *x):
      dtype = jnp.result_type(*params, *x, float)
      wide = jnp.promote_types(dtype, jnp.float32)
      params = type(params)(*(cast(p, wide) for p in params))
      return cast(f(params, *(cast(v, wide) for v in x)), to or dtype)

    return of

  def sample(key: Key, params, shape: Shape = ()) -> Array:
    return computed(lambda wide: dist.sample(key, wide, shape), draws)(params)

  functions = {name: computed(f) for name, f in dist._asdict().items()
               if callable(f)}
  return dist._replace(**functions | {'sample': sample})


# By lax, as these are in every density: jnp.where is traced and compiled as a
# function of its own, which made the first normal log-density a tenth slower.


def zero(x: Array) -> Array:
  """0 where `x` is finite, else NaN, to spoil a sum; its gradient is zero."""
  return lax.stop_gradient(lax.sub(x, x))


def finite(x: Array) -> Array:
  """`x` where it is finite, else NaN."""
  return lax.add(x, zero(x))


def positive(x: Array) -> Array:
  """`x` where it is finite and above zero, else NaN."""
  return finite(lax.select(x > 0, x, lax.full_like(x, jnp.nan)))


def size(shape: Shape, params: tuple[Array, ...]) -> Shape:
  """Shape of draws: `shape`, then what scalar `params` broadcast to."""
  return (*shape, *jnp.broadcast_shapes(*(p.shape for p in params)))


def minus_inf_where(outside: Array, nats: Array) -> Array:
  """-inf `outside` of the support, but NaN where bad params made it NaN."""
  return jnp.where(outside & ~jnp.isnan(nats), -jnp.inf, nats)
