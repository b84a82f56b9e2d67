"""A VAE as a distribution of data: draws, and a lower bound of log p(x)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.distributions.base import Distribution
from genjax.numerics import log_mean_exp
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.vae.model import VAE
from genjax.vae.objectives import log_joint


class VAEParams(NamedTuple):
  """The params of a VAE, and the classes of the data where it knows any."""

  params: Params
  label: Array | None = None  # [*batch] int


def as_distribution(
    vae: VAE, key: Key, *, num_samples: int, most: int = 4096
) -> Distribution:
  """p(x) of a VAE, of `VAEParams`; its log_prob is a lower bound, nats.

  That is the importance-weighted bound, arXiv:1509.00519, eq. 8. The K draws
  of z come from noise that `key` fixes and all x share: log_prob is a pure
  function, whose value at one x does not depend on what is beside it. It is a
  bound in expectation over keys.

  Args:
    vae: the model.
    key: of the noise.
    num_samples: K; the bound rises with it to log p(x).
    most: codes that are decoded at once, which bounds the memory.

  Raises:
    ValueError: a number that is not positive.
  """
  check_positive('as_distribution', 'num_samples', num_samples)
  check_positive('as_distribution', 'most', most)

  def sample(key, params, shape=()):
    own, label = params
    key_z, key_x = jax.random.split(key)
    label = None if label is None else jnp.asarray(label)
    batch = () if label is None else label.shape
    z = vae.prior.sample(key_z, vae.prior_params(own), (*shape, *batch))
    return vae.likelihood.sample(key_x, vae.decode(own, z, label))

  def log_prob(params, x):
    own, label = params
    ndims = vae.likelihood.event_ndims
    batch, event = x.shape[:x.ndim - ndims], x.shape[x.ndim - ndims:]
    if label is not None:
      batch = jnp.broadcast_shapes(batch, jnp.shape(label))
      label = jnp.broadcast_to(label, batch).reshape(-1, 1)
    rows = jnp.broadcast_to(x, (*batch, *event)).reshape(-1, 1, *event)
    noise = jax.random.normal(key, (num_samples, 1, vae.num_latents),
                              widen(x).dtype)

    def bound(row):
      x, label = row  # [1, *event] and [1]
      q = vae.encode(own, x, label)

      def log_weight(eps):
        z = vae.posterior.reparameterize(q, eps)
        return (log_joint(vae, own, x, z, label)
                - vae.posterior.dist.log_prob(q, z))[0]

      return log_mean_exp(jax.lax.map(log_weight, noise, batch_size=most))

    nats = jax.lax.map(bound, (rows, label),
                       batch_size=max(1, most // num_samples))
    return nats.reshape(batch)

  return Distribution(sample, log_prob, vae.likelihood.event_ndims,
                      'lower bound')
