"""log p(x) of a VAE from both sides, by chains that do not trust its encoder.

Along the path p(z) p(x | z)^beta, from prior to posterior. The encoder only
says how wide the posterior is, which sets the step size in each dimension of
the code: a wrong one makes the chains slow, not the bounds invalid.
"""

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_betas
from genjax.checks import check_positive
from genjax.distributions.base import MonteCarlo
from genjax.mcmc import anneal
from genjax.mcmc import hmc
from genjax.mcmc import log_mean_of
from genjax.numerics import fold_in_each
from genjax.numerics import scaled
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.vae.model import VAE

_NUM_WIDTH = 128  # draws, which know a width to 6 %


def annealed_log_likelihood(
    key: Key, vae: VAE, params: Params, x: Array, label: Array | None = None,
    *, betas: Array, num_chains: int = 16, step_size: float = 0.5,
    num_leapfrog: int = 3
) -> tuple[MonteCarlo, Array]:
  """log p(x) in nats by annealed importance sampling, a lower bound.

  Wu et al., arXiv:1611.04273: the mean of the weights is unbiased
  for p(x), so that its log is too low by about half the square of the standard
  error, or by more where betas are too few for the chains to follow.

  Args:
    key: of the chains, folded with each example's position.
    vae: the model.
    params: its params.
    x: [B, *event].
    label: [B], or None.
    betas: [T + 1] rising from 0 to 1, as `mcmc.sigmoid_betas`; traced ones that
      do not give NaN.
    num_chains: N, 2 or more for each example, from draws of the prior. All
      B N of them run at once.
    step_size: of Hamiltonian Monte Carlo, in the width of the density at each
      beta.
    num_leapfrog: its steps at each beta.

  Returns:
    MonteCarlo of [B], and the acceptance of the moves [B].

  Raises:
    ValueError: betas is not [T + 1], or known and not rising from 0 to 1; fewer
      than two chains; numbers that are not positive.
  """
  betas = check_betas('annealed_log_likelihood', betas)
  check(num_chains >= 2, 'annealed_log_likelihood',
        'num_chains must be 2 or more', num_chains)
  key_start, key_moves = jax.random.split(key)
  prior_params = vae.prior_params(params)
  start = jax.vmap(
      lambda k: vae.prior.sample(k, prior_params, (num_chains,)))(
          fold_in_each(key_start, jnp.arange(len(x))))
  log_weights, acceptance = _anneal(key_moves, vae, params, x, label, start,
                                    betas, step_size, num_leapfrog)
  return log_mean_of(log_weights.T), acceptance


def annealed_upper_bound(
    key: Key, vae: VAE, params: Params, x: Array, z: Array,
    label: Array | None = None, *, betas: Array, num_chains: int = 16,
    step_size: float = 0.5, num_leapfrog: int = 3
) -> tuple[MonteCarlo, Array]:
  """log p(x) in nats by chains from posterior to prior, an upper bound.

  Bidirectional Monte Carlo, arXiv:1511.02543: of data drawn from
  the model itself, (z, x) ~ p(z) p(x | z), the code z is an exact draw of the
  posterior, from which the mean of the weights is unbiased for 1 / p(x).

  Args:
    key, vae, params, x, label: as of `annealed_log_likelihood`.
    z: [B, Z], the codes that x was drawn from.
    betas, num_chains, step_size, num_leapfrog: likewise; betas rise here too.

  Returns:
    MonteCarlo of [B], and the acceptance of the moves [B]. The standard error
    is that of the chains, given z, from which all of an example's start.

  Raises:
    ValueError: as of `annealed_log_likelihood`; z is not [B, Z].
  """
  betas = check_betas('annealed_upper_bound', betas)
  check(num_chains >= 2, 'annealed_upper_bound',
        'num_chains must be 2 or more', num_chains)
  check(z.shape == (len(x), vae.num_latents), 'annealed_upper_bound',
        f'z must be {(len(x), vae.num_latents)}', f'shape {z.shape}')
  start = jnp.repeat(z[:, None], num_chains, axis=1)
  log_weights, acceptance = _anneal(key, vae, params, x, label, start,
                                    betas[::-1], step_size, num_leapfrog)
  inverse = log_mean_of(log_weights.T)
  return inverse._replace(value=-inverse.value), acceptance


def _anneal(key, vae, params, x, label, start, betas, step_size, num_leapfrog):
  """Log weights [B, N] of chains from start [B, N, Z], and acceptance [B]."""
  # An array, as it becomes, is not checked.
  check_positive('annealing', 'step_size', step_size)
  key_width, key_moves = jax.random.split(key)
  prior_params = vae.prior_params(params)
  wide, narrow = _widths(key_width, vae, params, x, label)

  def of_one(key, x, label, start, narrow):

    def log_likelihood(z):
      return vae.likelihood.log_prob(vae.decode(params, z, label), x)

    def kernel(beta):
      # Exact for Gaussians, whose precisions add up along the path.
      width = ((1 - beta) / wide**2 + beta / narrow**2)**-0.5
      return hmc(lambda z: -vae.prior.log_prob(prior_params, z)
                 - scaled(beta, log_likelihood(z)),
                 step_size=step_size * width, num_leapfrog=num_leapfrog)

    log_weights, acceptance = anneal(key, kernel, log_likelihood, start, betas)
    return log_weights, jnp.mean(acceptance)

  return jax.vmap(of_one)(fold_in_each(key_moves, jnp.arange(len(x))), x,
                          label, start, narrow)


def _widths(key, vae, params, x, label):
  """Standard deviations of the prior [Z], and of posteriors [B, Z]."""
  key_prior, key_posterior = jax.random.split(key)
  z = vae.prior.sample(key_prior, vae.prior_params(params), (_NUM_WIDTH,))
  eps = jax.random.normal(key_posterior, (_NUM_WIDTH, 1, vae.num_latents),
                          widen(x).dtype)
  eps = jnp.broadcast_to(eps, (_NUM_WIDTH, len(x), vae.num_latents))
  posterior = vae.posterior.reparameterize(vae.encode(params, x, label), eps)
  return jnp.std(z, axis=0), jnp.std(posterior, axis=0)
