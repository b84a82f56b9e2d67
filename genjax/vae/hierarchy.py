"""Two levels of codes: a top one decides the law of a bottom one.

A code z is [top, bottom]. The prior is p(top) p(bottom | top) and the
posterior q(top | x) q(bottom | top, x), each a distribution of z like any
other, so that everything said of a VAE holds for this one.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import reparameterize
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape
from genjax.vae.posteriors import Posterior
from genjax.vae.posteriors import to_normal
from genjax.vae.priors import learned
from genjax.vae.priors import Prior

# Number of outputs -> Flax module, (h [N, D]) -> [N, O].
MakeNetwork = Callable[[int], Any]


class TwoLevelParams(NamedTuple):
  """The law of the top code, and of the bottom one given it."""

  top: NormalParams  # [..., Z1]
  variables: Params  # of the network from top and context to the bottom's law
  context: Array  # [..., C], what else that law depends on; C may be 0


def prior(num_top: int, num_bottom: int, make_network: MakeNetwork) -> Prior:
  """p(z) of a standard normal top code, and a bottom one by a network of it.

  Args:
    num_top: Z1.
    num_bottom: Z2.
    make_network: of the bottom's law.

  Raises:
    ValueError: a number that is not positive.
  """
  network, two_level, _ = _two_level('prior', num_top, num_bottom,
                                     make_network)

  def params(variables):
    return TwoLevelParams(NormalParams(jnp.zeros(num_top), jnp.ones(num_top)),
                          variables, jnp.zeros(0))

  return learned(num_top + num_bottom, reparameterize(two_level, params),
                 lambda key, z: network.init(key, z[:, :num_top])['params'])


def posterior(
    num_top: int, num_bottom: int, num_context: int,
    make_network: MakeNetwork
) -> Posterior:
  """q(z | x) in the order of the prior: the top code first.

  Args:
    num_top: Z1.
    num_bottom: Z2.
    num_context: C, what the bottom's law is told of x.
    make_network: of the bottom's law, of top code and context.

  Raises:
    ValueError: a number that is not positive.
  """
  check_positive('posterior', 'num_context', num_context)
  network, two_level, from_noise = _two_level('posterior', num_top, num_bottom,
                                              make_network)

  def params(variables, outputs):
    return TwoLevelParams(to_normal(outputs[..., :2 * num_top]), variables,
                          outputs[..., 2 * num_top:])

  return Posterior(
      num_top + num_bottom, 2 * num_top + num_context,
      lambda key: network.init(
          key, jnp.zeros((1, num_top + num_context)))['params'],
      params, two_level, from_noise)


def _two_level(where, num_top, num_bottom, make_network):
  """Network, distribution of `TwoLevelParams`, and its draws from noise."""
  check_positive(where, 'num_top', num_top)
  check_positive(where, 'num_bottom', num_bottom)
  network = make_network(2 * num_bottom)
  diagonal = independent(normal, 1)

  def bottom(params: TwoLevelParams, top: Array) -> NormalParams:
    context = jnp.broadcast_to(
        params.context, (*top.shape[:-1], params.context.shape[-1]))
    h = jnp.concatenate([top, context], axis=-1)
    outputs = network.apply({'params': params.variables},
                            h.reshape(-1, h.shape[-1]))
    return to_normal(outputs.reshape(*top.shape[:-1], -1))

  def from_noise(params: TwoLevelParams, eps: Array) -> Array:
    eps_top, eps_bottom = jnp.split(eps, [num_top], axis=-1)
    top = params.top.loc + params.top.scale * eps_top
    law = bottom(params, top)
    return jnp.concatenate([top, law.loc + law.scale * eps_bottom], axis=-1)

  def sample(key: Key, params: TwoLevelParams, shape: Shape = ()) -> Array:
    loc = params.top.loc
    return from_noise(params, jax.random.normal(
        key, (*shape, *loc.shape[:-1], num_top + num_bottom), loc.dtype))

  def log_prob(params: TwoLevelParams, x: Array) -> Array:
    top, below = jnp.split(x, [num_top], axis=-1)
    return (diagonal.log_prob(params.top, top)
            + diagonal.log_prob(bottom(params, top), below))

  return network, Distribution(sample, log_prob, 1), from_noise
