"""What every family does with its params: one dtype, NaN where they are bad."""

from typing import Any, Callable, TypeVar

import jax
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


def computed(f: Callable[..., Array], to: Any = None) -> Callable[..., Array]:
  """`f` of params and values of any dtype, computed in float32 or better.

  The result is rounded to their common dtype, or to `to` if it is given.
  """

  cast = lax.convert_element_type

  def of(params, *x):
    dtype = jnp.result_type(*params, *x, float)
    wide = jnp.promote_types(dtype, jnp.float32)
    params = type(params)(*(cast(p, wide) for p in params))
    return cast(f(params, *(cast(v, wide) for v in x)), to or dtype)

  return of


def rounded(
    dist: Distribution,
    *,
    draws: Any = None,
    ends: tuple[float, float] = (-jnp.inf, jnp.inf),
) -> Distribution:
  """`dist` for params and values of any dtype, computed in float32 or better.

  Noise of jax.random at 16 bits has another law (the standard deviation of the
  logistic in bfloat16 is four times too large), and a sum of logarithms loses
  what digits there are. What is computed is rounded to the common dtype of
  params and value, but draws to `draws` if it is given.

  A draw that would be rounded to one of the `ends` of the support, where the
  density may be 0 or infinite, is the number next to it: `within`.
  """

  def sample(key: Key, params, shape: Shape = ()) -> Array:
    draw = computed(lambda wide: dist.sample(key, wide, shape), draws)
    return draw(params) if draws else within(draw(params), *ends)

  functions = {name: computed(f) for name, f in dist._asdict().items()
               if callable(f)}
  return dist._replace(**functions | {'sample': sample})


def widened(f: Callable[..., Array]) -> Callable[..., Array]:
  """`f` of any tree of params and of values, whose sums 16 bits would spoil.

  Params, not values, are taken to float32; the result is rounded to the common
  dtype of both.
  """

  def of(params, *x):
    dtype = jnp.result_type(*jax.tree.leaves((params, x)), float)
    if jnp.finfo(dtype).bits >= 32:
      return f(params, *x)

    def wide(leaf):
      whole = jnp.issubdtype(jnp.result_type(leaf), jnp.integer)
      return leaf if whole else jnp.asarray(leaf, jnp.float32)

    return f(jax.tree.map(wide, params), *x).astype(dtype)

  return of


def within(x: Array, low: float, high: float) -> Array:
  """`x` moved from the ends `low` and `high` to the numbers next to them.

  The least number above 0 is one that XLA does not take for 0: of float32,
  1.2e-38. NaN stays.

  Args:
    x: of a floating dtype.
    low: 0 or -inf.
    high: 1 or inf.
  """
  info = jnp.finfo(x.dtype)
  wide = jnp.finfo(jnp.promote_types(x.dtype, jnp.float32))
  least = max(float(info.smallest_subnormal), float(wide.tiny))
  top = 1 - float(info.epsneg) if high == 1 else float(info.max)
  return lax.clamp(jnp.asarray(-float(info.max) if low else least, x.dtype), x,
                   jnp.asarray(top, x.dtype))


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


@jax.custom_jvp
def quotient(x: Array, y: Array) -> Array:
  """x / y, whose slope in y is -(x / y) / y.

  Jax's own is -x y^-2, which is infinite from y = 1e-19 down.
  """
  return x / y


@quotient.defjvp
def _quotient_jvp(primals, tangents):
  (x, y), (dx, dy) = primals, tangents
  ratio = quotient(x, y)
  # Of (x / y) / y a compiler makes x / y^2.
  return ratio, (dx - ratio * dy) * (1 / y)


def size(shape: Shape, params: tuple[Array, ...]) -> Shape:
  """Shape of draws: `shape`, then what scalar `params` broadcast to."""
  return (*shape, *jnp.broadcast_shapes(*(p.shape for p in params)))


def minus_inf_where(outside: Array, nats: Array) -> Array:
  """-inf `outside` of the support, but NaN where bad params made it NaN."""
  return jnp.where(outside & ~jnp.isnan(nats), -jnp.inf, nats)
