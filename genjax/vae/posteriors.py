"""Approximate posteriors q(z | x): what an encoder's outputs say of the code.

Their scales are bounded by construction, so that no output makes a density
infinite.
"""

from typing import Callable, NamedTuple

import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.distributions.base import Distribution
from genjax.distributions.bijectors import Bijector
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import transformed
from genjax.distributions.combinators import TransformedParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.numerics import soft_clip
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params

_LOG_SCALE = (-7.0, 3.0)


class Posterior(NamedTuple):
  """A family q(z | x), and how its params come from an encoder's outputs."""

  num_latents: int  # Z
  num_outputs: int  # O, of the encoder
  init: Callable[[Key], Params]  # of what the family itself learns
  params: Callable[[Params, Array], Params]  # (its own, outputs [B, O])
  dist: Distribution  # of z [Z], of such params
  # (params, standard normal noise [..., B, Z]) -> z of the same shape, which
  # has the law of `dist`.
  reparameterize: Callable[[Params, Array], Array]


def to_normal(outputs: Array) -> NormalParams:
  """Means, and logarithms of scales before they are bounded: [..., 2 D]."""
  loc, log_scale = jnp.split(outputs, 2, axis=-1)
  return NormalParams(loc, jnp.exp(soft_clip(log_scale, *_LOG_SCALE)))


def _from_noise(params: NormalParams, eps: Array) -> Array:
  return params.loc + params.scale * eps


def diagonal(num_latents: int) -> Posterior:
  """A Gaussian whose entries are independent: z = loc + scale eps.

  Kingma and Welling, arXiv:1312.6114, section 2.4.

  Raises:
    ValueError: num_latents is not positive.
  """
  check_positive('diagonal', 'num_latents', num_latents)
  return Posterior(num_latents, 2 * num_latents, lambda key: (),
                   lambda own, outputs: to_normal(outputs),
                   independent(normal, 1), _from_noise)


def flow(
    num_latents: int, num_context: int, bijector: Bijector,
    init: Callable[[Key, Array, Array], Params],
    to_params: Callable[[Params, Array], Params],
) -> Posterior:
  """A diagonal Gaussian through an invertible map that depends on x as well.

  Rezende and Mohamed, arXiv:1505.05770, with the context of Kingma et al.,
  arXiv:1606.04934.

  Args:
    num_latents: Z.
    num_context: C, further outputs of the encoder, which the map is told.
    bijector: of vectors z [..., Z], as `flow.conditional_bijector`.
    init: (key, z [1, Z], context [1, C]) -> variables of the map.
    to_params: (variables, context [B, C]) -> the bijector's params, as
      `flow.ContextParams`.

  Raises:
    ValueError: a number that is not positive.
  """
  check_positive('flow', 'num_latents', num_latents)
  check_positive('flow', 'num_context', num_context)

  def params(own, outputs):
    base = to_normal(outputs[..., :2 * num_latents])
    return TransformedParams(
        base, to_params(own, outputs[..., 2 * num_latents:]))

  return Posterior(
      num_latents, 2 * num_latents + num_context,
      lambda key: init(key, jnp.zeros((1, num_latents)),
                       jnp.zeros((1, num_context))),
      params, transformed(independent(normal, 1), bijector),
      lambda q, eps: bijector.forward(q.bijector, _from_noise(q.base, eps)))
