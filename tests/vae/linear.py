"""A VAE in which everything is known: linear maps, Gaussian noise."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from genjax.networks.autoencoder import MLPDecoder
from genjax.networks.autoencoder import MLPEncoder
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.model import make_vae


def linear_vae(num_latents: int, num_dims: int):
  """Affine encoder and decoder, one scale for all of x [D]."""
  return make_vae(
      partial(MLPEncoder, widths=()),
      partial(MLPDecoder, shape=(num_dims,), widths=()),
      posterior=posteriors.diagonal(num_latents),
      prior=priors.standard_normal(num_latents),
      likelihood=likelihoods.gaussian('shared'), event_ndims=1)


def unclipped(value, low=-7.0, high=3.0):
  """What `soft_clip` makes `value` of."""
  centre, half = (low + high) / 2, (high - low) / 2
  return centre + half * np.arctanh((value - centre) / half)


def exact_params(weight, mean, scale):
  """Params of x = W z + mean + scale eps whose encoder is the exact posterior.

  That is N(M^-1 W^T (x - mean), scale^2 M^-1), M = W^T W + scale^2 I (Tipping
  and Bishop 1999, eq. 7): diagonal, as the columns of W [D, Z] must be
  orthogonal.
  """
  gram = weight.T @ weight
  np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)
  precision = np.diag(gram) + scale**2
  to_loc = weight / precision
  raw = unclipped(np.log(scale / np.sqrt(precision)))
  kernel = np.concatenate([to_loc, 0 * to_loc], axis=1)
  bias = np.concatenate([-mean @ to_loc, raw])

  def dense(kernel, bias):
    return {'out': {'kernel': jnp.asarray(kernel, float),
                    'bias': jnp.asarray(bias, float)}}

  return {'encoder': dense(kernel, bias), 'decoder': dense(weight.T, mean),
          'posterior': (), 'prior': (),
          'likelihood': jnp.asarray(unclipped(np.log(scale)), float)}


def some_law(num_latents=2, num_dims=5, seed=0):
  """W [D, Z] with orthogonal columns, mean [D] and scale of a linear model."""
  rng = np.random.default_rng(seed)
  axes, _ = np.linalg.qr(rng.normal(size=(num_dims, num_latents)))
  return axes * np.linspace(2, 1, num_latents), rng.normal(size=num_dims), 0.5
