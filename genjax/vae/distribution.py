"""A VAE as a distribution of data: draws, and a lower bound of log p(x)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.distributions.base import Distribution
from genjax.numerics import fold_in_each
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


class Drawn(NamedTuple):
  """N examples that a model drew."""

  z: Array  # [N, Z], the codes
  mean: Array  # [N, *event], free of the observation noise
  x: Array  # [N, *event], with it


def draw(
    key: Key, vae: VAE, params: Params, num: int, label: Array | None = None
) -> Drawn:
  """Examples of codes from the prior, the same ones whatever their number.

  Args:
    key: of the codes and of the observation noise, folded with the position of
      each example.
    vae: the model; its likelihood is of values that are independent given z.
    params: its params.
    num: N.
    label: [N], or None.
  """
  prior_params = vae.prior_params(params)
  keys = jax.vmap(jax.random.split, out_axes=1)(
      fold_in_each(key, jnp.arange(num)))
  z = jax.vmap(lambda k: vae.prior.sample(k, prior_params))(keys[0])
  law = vae.decode(params, z, label)
  mean = mean_of(vae, law)
  # Of which a part, as a scale that all share, may be the same for every one.
  of_each = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, mean.shape), law)
  return Drawn(z, mean, jax.vmap(vae.likelihood.sample)(keys[1], of_each))


def mean_of(vae: VAE, law: Params) -> Array:
  """Mean of the likelihood of params `law`: an image without its noise."""
  mean: Any = vae.likelihood.mean  # which every likelihood has
  return mean(law)


def code(vae: VAE, params: Params, x: Array, label: Array | None = None
         ) -> Array:
  """Codes [B, Z] of x [B, *event]: of q(z | x), free of its noise."""
  return vae.posterior.reparameterize(
      vae.encode(params, x, label),
      jnp.zeros((len(x), vae.num_latents), widen(x).dtype))
