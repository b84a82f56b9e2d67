"""Lower bounds of log p(x) by which a VAE is trained and judged."""

from typing import Mapping, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.distributions.continuous import NormalParams
from genjax.distributions.divergences import kl_normal
from genjax.numerics import batch_mean
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import log_mean_exp
from genjax.numerics import normal_each
from genjax.types import Array
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params
from genjax.vae.model import VAE


class Terms(NamedTuple):
  """The two halves of the evidence lower bound, ELBO = -(their sum), nats."""

  reconstruction: Array  # -E_q log p(x | z), [B]
  # Of q(z | x) to p(z): [B, Z], or [B, 1] where only the sum is known.
  kl: Array


def _noise(key, vae, num_samples, index):
  """Standard normal [K, B, Z], a stream for each example."""
  eps = normal_each(fold_in_each(key, index), (num_samples, vae.num_latents))
  return jnp.moveaxis(eps, 1, 0)


def log_joint(
    vae: VAE, params: Params, x: Array, z: Array, label: Array | None = None
) -> Array:
  """log p(z) + log p(x | z), nats: x [B, *event] and z [..., B, Z] to [..., B].
  """
  return (vae.prior.log_prob(vae.prior_params(params), z)
          + vae.likelihood.log_prob(vae.decode(params, z, label), x))


def log_weights(
    key: Key, vae: VAE, params: Params, x: Array, label: Array | None = None,
    *, num_samples: int, index: Array | None = None
) -> Array:
  """log p(x, z) - log q(z | x) of draws z from q, nats: [K, B].

  Their mean is the ELBO; the log of the mean of their exponentials is the
  importance-weighted bound (arXiv:1509.00519, eq. 8), which is larger in
  expectation and rises with K to log p(x).

  Args:
    key: of the draws, folded with each example's index.
    vae: the model.
    params: its params.
    x: [B, *event].
    label: [B], or None.
    num_samples: K.
    index: [B]; 0..B-1 where absent.
  """
  index = jnp.arange(len(x)) if index is None else index
  q = vae.encode(params, x, label)
  z = vae.posterior.reparameterize(q, _noise(key, vae, num_samples, index))
  return (log_joint(vae, params, x, z, label)
          - vae.posterior.dist.log_prob(q, z))


def elbo_terms(
    key: Key, vae: VAE, params: Params, x: Array, label: Array | None = None,
    *, num_samples: int = 1, index: Array | None = None
) -> Terms:
  """Reconstruction and KL of each example; arguments as of `log_weights`.

  The KL of a diagonal posterior to a standard normal is exact, by dimension
  (arXiv:1312.6114, appendix B); any other is an average over the K draws.
  """
  index = jnp.arange(len(x)) if index is None else index
  q = vae.encode(params, x, label)
  prior_params = vae.prior_params(params)
  z = vae.posterior.reparameterize(q, _noise(key, vae, num_samples, index))
  nats = vae.likelihood.log_prob(vae.decode(params, z, label), x)
  if isinstance(q, NormalParams) and isinstance(prior_params, NormalParams):
    kl = kl_normal(q, prior_params)
  else:
    kl = jnp.mean(vae.posterior.dist.log_prob(q, z)
                  - vae.prior.log_prob(prior_params, z), axis=0)[:, None]
  return Terms(-jnp.mean(nats, axis=0), kl)


def make_elbo_loss(
    vae: VAE, *, beta: float = 1.0, free_bits: float = 0.0,
    num_samples: int = 1
) -> LossFn:
  """Reconstruction + beta KL, nats, a mean over the batch.

  beta = 1 is the negative ELBO; other values are the beta-VAE
  (Higgins et al. 2017), no bound for beta < 1.

  Args:
    vae: the model.
    beta: weight of the KL, 0 or more.
    free_bits: nats of KL that cost nothing (arXiv:1606.04934, eq. 15) in each
      group: a dimension, or the whole code where only the sum is known. Of
      each example here, not of the mean over a batch, so that the loss does
      not depend on how a batch is split.
    num_samples: draws of z an example.

  Returns:
    LossFn over batches {'x' [B, *event], 'index' [B], 'cond': {'label' [B]} if
    there are any, 'mask' [B] likewise}; metrics 'reconstruction' and 'kl',
    nats, whatever beta and free_bits.

  Raises:
    ValueError: a number that is out of range.
  """
  where = 'make_elbo_loss'
  check(beta >= 0, where, 'beta must not be negative', beta)
  check(free_bits >= 0, where, 'free_bits must not be negative', free_bits)
  check_positive(where, 'num_samples', num_samples)

  def loss_fn(params, key, batch, context):
    del context
    terms = elbo_terms(key, vae, params, batch['x'], batch['cond'].get('label'),
                       num_samples=num_samples, index=batch['index'])
    rate = jnp.sum(jnp.maximum(terms.kl, free_bits), axis=1)
    losses = terms.reconstruction + beta * rate
    return batch_mean(batch, losses), _metrics(batch, terms)

  return loss_fn


def _metrics(batch: Mapping[str, Array], terms: Terms) -> dict[str, Array]:
  return {'reconstruction': batch_mean(batch, terms.reconstruction),
          'kl': batch_mean(batch, jnp.sum(terms.kl, axis=1))}


def make_iwae_loss(
    vae: VAE, *, num_samples: int, doubly_reparameterized: bool = True
) -> LossFn:
  """The negative importance-weighted bound, nats, a mean over the batch.

  IWAE, arXiv:1509.00519, eq. 8.

  Args:
    vae: the model.
    num_samples: K; 1 is the negative ELBO.
    doubly_reparameterized: takes the encoder's gradient by eq. 8 of
      arXiv:1810.04152, whose signal does not drown in noise as K grows. The
      value, and the gradient's expectation, are the same; for K = 1 it
      vanishes where q is the exact posterior.

  Returns:
    LossFn as that of `make_elbo_loss`; no metrics.

  Raises:
    ValueError: num_samples is not positive.
  """
  check_positive('make_iwae_loss', 'num_samples', num_samples)

  def loss_fn(params, key, batch, context):
    del context
    x, label = batch['x'], batch['cond'].get('label')
    q = vae.encode(params, x, label)
    z = vae.posterior.reparameterize(
        q, _noise(key, vae, num_samples, batch['index']))

    def of(q, z):
      return (log_joint(vae, params, x, z, label)
              - vae.posterior.dist.log_prob(q, z))

    if not doubly_reparameterized:
      return -batch_mean(batch, log_mean_exp(of(q, z))), {}
    value = log_mean_exp(nats := jax.lax.stop_gradient(of(q, z)))
    share = jax.nn.softmax(nats, axis=0)
    # The same numbers again, with the paper's gradient: once w for what p
    # learns, w^2 for what reaches the encoder through z.
    nats = of(jax.lax.stop_gradient(q), _scale_gradient(
        z, broadcast_right(share, z.ndim)))
    surrogate = jnp.sum(share * (nats - jax.lax.stop_gradient(nats)), axis=0)
    return -batch_mean(batch, value + surrogate), {}

  return loss_fn


@jax.custom_vjp
def _scale_gradient(x: Array, by: Array) -> Array:
  """x, whose gradient is multiplied by `by`, which gets none."""
  del by
  return x


_scale_gradient.defvjp(lambda x, by: (x, by),
                       lambda by, g: (g * by, jnp.zeros_like(by)))


def active_units(means: Array, *, threshold: float = 1e-2) -> Array:
  """Which dimensions of the code the data use: bool [Z].

  arXiv:1509.00519, section 5.3: those whose posterior mean has a variance
  above the threshold over the data. None is a collapsed posterior.

  Args:
    means: of q(z | x) for data x, [N, Z].
    threshold: in the square of the code's unit.
  """
  return jnp.var(means, axis=0) > threshold
