"""Normalising flows: an invertible network makes one distribution another.

    network = SplineCoupling()
    dist = flow(network, independent(normal, 1),
                NormalParams(jnp.zeros(2), jnp.ones(2)))
    variables = network.init(key, jnp.zeros(2))
    loss_fn = maximum_likelihood(dist)  # of the variables
"""

from typing import Any, Callable, NamedTuple

from genjax.distributions.base import Distribution
from genjax.distributions.bijectors import Bijector
from genjax.distributions.combinators import reparameterize
from genjax.distributions.combinators import transformed
from genjax.distributions.combinators import TransformedParams
from genjax.types import Array
from genjax.types import Params


class ContextParams(NamedTuple):
  """Params of a map that depends on what it is given beside its argument."""

  variables: Params  # of the network
  context: Array  # [..., C]


def bijector(network: Any) -> Bijector:
  """A network of vectors as a bijector, whose params are its variables.

  Args:
    network: a Flax module like `SplineCoupling`: (x [..., D], inverse=False)
      to the image and its log-determinant [...].
  """
  return _bijector(network.apply)


def conditional_bijector(network: Any) -> Bijector:
  """The same of a network that takes a context too: of `ContextParams`.

  Args:
    network: as of `bijector`, (x [..., D], context [..., C], inverse=False).
  """
  return _bijector(lambda params, x, **options: network.apply(
      params.variables, x, params.context, **options))


def _bijector(apply: Callable[..., Any]) -> Bijector:
  return Bijector(
      forward=lambda params, x: apply(params, x)[0],
      inverse=lambda params, y: apply(params, y, inverse=True)[0],
      log_det=lambda params, x: apply(params, x)[1],
      event_ndims=1)


def flow(
    network: Any, base: Distribution, base_params: Params
) -> Distribution:
  """The law of network(z), z of a fixed base; params: the network's variables.

  `transformed(base, bijector(network))` is the same with a base that learns.

  Args:
    network: see `bijector`.
    base: a distribution of vectors [D].
    base_params: its params, for good.
  """
  return reparameterize(
      transformed(base, bijector(network)),
      lambda variables: TransformedParams(base_params, variables))
