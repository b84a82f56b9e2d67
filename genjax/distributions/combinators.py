"""Functions from distributions to distributions."""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.bijectors import Bijector
from genjax.distributions.params import minus_inf_where
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape


class TransformedParams(NamedTuple):
  """Params of the base and of the bijector."""

  base: Params
  bijector: Params


def independent(base: Distribution, ndims: int) -> Distribution:
  """Sums the last `ndims` batch axes of `base` into one event.

  Args:
    base: any distribution.
    ndims: how many trailing batch axes become part of the event; a normal over
      images [H, W, C] is `independent(normal, 3)`.

  Returns:
    A distribution of the same params and samples, whose log_prob has `ndims`
    axes fewer.

  Raises:
    ValueError: a draw, or log_prob of a value, with fewer axes than the event.
  """

  def check_axes(found: int) -> None:
    check(found >= ndims, 'independent',
          f'params and x must have {ndims} or more batch axes', found)

  def sample(key: Key, params: Params, shape: Shape = ()) -> Array:
    x = base.sample(key, params, shape)
    check_axes(x.ndim - len(shape) - base.event_ndims)
    return x

  def total(nats: Array) -> Array:
    check_axes(nats.ndim)
    return sum_trailing(nats, ndims)

  entropy = base.entropy
  return Distribution(
      sample, lambda params, x: total(base.log_prob(params, x)),
      base.event_ndims + ndims, base.density, base.mean, base.variance,
      entropy and (lambda params: total(entropy(params))))


def transformed(base: Distribution, bijector: Bijector) -> Distribution:
  """Distribution of x = f(z), z of `base`: log p(z) - log |det dx/dz|.

  Outside of the range of f, its ends included, the log-density is -inf.

  Args:
    base: any distribution of continuous z.
    bijector: f. Ranks may differ, as of a normal for each entry and a flow of
      vectors, or of images and an elementwise map.

  Returns:
    A distribution of `TransformedParams`, of the higher of both ranks.

  Raises:
    ValueError: a draw with a bijector whose params broadcast axes that the
      base's params have: their members would share its noise.
  """
  event_ndims = max(base.event_ndims, bijector.event_ndims)

  def sample(key: Key, params: TransformedParams, shape: Shape = ()) -> Array:
    z = jax.eval_shape(base.sample, key, params.base)
    x = jax.eval_shape(bijector.forward, params.bijector, z)
    # Axes that only the bijector's params have; each member has its own z.
    batch = x.shape[:len(x.shape) - len(z.shape)]
    check(x.shape == batch + z.shape, 'transformed',
          f"the base's params must make draws like {x.shape}", z.shape)
    return bijector.forward(
        params.bijector, base.sample(key, params.base, (*shape, *batch)))

  def log_prob(params: TransformedParams, x: Array) -> Array:
    z = bijector.inverse(params.bijector, x)
    outside = jnp.isinf(z)
    z = jnp.where(outside, 0, z)
    nats = base.log_prob(params.base, z)
    log_det = bijector.log_det(params.bijector, z)
    return minus_inf_where(
        jnp.any(outside, axis=tuple(range(-event_ndims, 0))),
        sum_trailing(nats, event_ndims - base.event_ndims)
        - sum_trailing(log_det, event_ndims - bijector.event_ndims))

  return Distribution(sample, log_prob, event_ndims, base.density)


def reparameterize(
    base: Distribution, constrain: Callable[[Params], Params]
) -> Distribution:
  """`base` with params that may take any value, as gradient descent needs.

  Args:
    base: any distribution.
    constrain: maps the new params, any pytree of arrays, to the base's:
      `lambda p: NormalParams(p.loc, jnp.exp(p.scale))`.

  Returns:
    A distribution whose functions at p are those of `base` at constrain(p).
  """

  def at(f):
    return f and (lambda params, *x: f(constrain(params), *x))

  def sample(key: Key, params: Params, shape: Shape = ()) -> Array:
    return base.sample(key, constrain(params), shape)

  return base._replace(
      sample=sample, log_prob=at(base.log_prob), mean=at(base.mean),
      variance=at(base.variance), entropy=at(base.entropy), cdf=at(base.cdf))
