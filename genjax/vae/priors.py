"""Priors p(z) over codes, from fixed to learned."""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params

# (x [K, *event], first label + ... of components) -> the posterior's params.
Encode = Callable[[Array], Params]


class Prior(NamedTuple):
  """A distribution of codes, and where its params come from."""

  num_latents: int  # Z
  # (key, x [B, *event] some data) -> what the prior itself learns.
  init: Callable[[Key, Array], Params]
  params: Callable[[Params, Encode], Params]  # (its own, encoder) -> of `dist`
  dist: Distribution  # of z [Z]


def standard_normal(num_latents: int) -> Prior:
  """N(0, I): nothing to learn.

  Raises:
    ValueError: num_latents is not positive.
  """
  check_positive('standard_normal', 'num_latents', num_latents)
  return Prior(
      num_latents, lambda key, x: (),
      lambda own, encode: NormalParams(jnp.zeros(num_latents),
                                       jnp.ones(num_latents)),
      independent(normal, 1))


def vamp(num_latents: int, num_components: int) -> Prior:
  """A mixture of the posteriors of learned pseudo-inputs, weights learned too.

  VampPrior, arXiv:1705.07120, eq. 9: what the best prior, the mean posterior
  of all data, would be with few data points. Of diagonal posteriors.

  Args:
    num_latents: Z.
    num_components: K.

  Raises:
    ValueError: a number that is not positive; another posterior.
  """
  check_positive('vamp', 'num_latents', num_latents)
  check_positive('vamp', 'num_components', num_components)

  def init(key, x):
    some = widen(x)[jnp.arange(num_components) % len(x)]
    # Components that began alike would stay alike.
    return {'inputs': some + 0.1 * jax.random.normal(key, some.shape,
                                                     some.dtype),
            'logits': jnp.zeros(num_components, some.dtype)}

  def params(own, encode):
    q: Any = encode(own['inputs'])
    check(isinstance(q, NormalParams), 'vamp', 'the posterior must be diagonal',
          type(q).__name__)
    return MixtureParams(own['logits'], q)

  return Prior(num_latents, init, params, mixture(independent(normal, 1)))


def learned(
    num_latents: int, dist: Distribution, init: Callable[[Key, Array], Params]
) -> Prior:
  """Any distribution of vectors, such as a flow, trained with the rest.

  Args:
    num_latents: Z.
    dist: of z [Z].
    init: (key, z [1, Z]) -> its params.

  Raises:
    ValueError: num_latents is not positive; a distribution of no vectors.
  """
  check_positive('learned', 'num_latents', num_latents)
  check(dist.event_ndims == 1, 'learned', 'dist must be of vectors',
        f'events of rank {dist.event_ndims}')
  return Prior(num_latents,
               lambda key, x: init(
                   key, jnp.zeros((1, num_latents), widen(x).dtype)),
               lambda own, encode: own, dist)
