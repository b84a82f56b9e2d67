"""Diffusion without a network: data whose denoiser is known in closed form.

Stands in for a network wherever something is to be checked against the truth.
All of it is computed and given in float32, or float64 where x is that, whatever
the dtype of x, of data and of params.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_rank
from genjax.diffusion.process import coefficients
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process


class Exact(NamedTuple):
  """The truth at every noise level; x [B, ...] and t, [] or [B]."""

  denoiser: Denoiser  # (x, t) -> E[x_0 | x_t] [B, ...]
  log_prob: Callable[[Array, Array], Array]  # (x, t) -> log p(x_t) [B], nats


def gaussian(process: Process, mean: Array, cov: Array) -> Exact:
  """The truth for data from N(mean, cov), mean [D], cov [D, D]."""
  return gaussian_mixture(
      process, jnp.zeros(1), jnp.asarray(mean)[None], jnp.asarray(cov)[None])


def gaussian_flow(
    process: Process, mean: Array, cov: Array
) -> Callable[[Array, Array, Array], Array]:
  """The probability-flow map (x_t [B, D], t, s) -> x_s of N(mean, cov).

  Along each eigenvector the deviation from the mean scales with the standard
  deviation of the marginal.
  """
  mean = widen(mean)
  variances, basis = jnp.linalg.eigh(widen(cov))
  variances = jnp.maximum(variances, 0.0)  # eigh of a singular matrix errs

  def flow(x: Array, t: Array, s: Array) -> Array:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        coefficients(process, time, 2) for time in (t, s))
    var_t = jnp.square(alpha_t) * variances + jnp.square(sigma_t)
    var_s = jnp.square(alpha_s) * variances + jnp.square(sigma_s)
    deviation = (x - alpha_t * mean) @ basis * jnp.sqrt(var_s / var_t)
    return alpha_s * mean + deviation @ basis.T

  return flow


def gaussian_mixture(
    process: Process, logits: Array, means: Array, covs: Array
) -> Exact:
  """The truth for data from a mixture of K Gaussians of full covariance.

  Args:
    process: the noise process.
    logits: [K] unnormalised log weights.
    means: [K, D].
    covs: [K, D, D], or [D, D] for all; singular ones are allowed.

  Raises:
    ValueError: shapes do not fit.
  """
  check_rank('gaussian_mixture', 'means', means, 2)
  logits, means, covs = widen(logits), widen(means), widen(covs)
  num, dim = means.shape
  check(logits.shape == (num,), 'gaussian_mixture', f'logits must be [{num}]',
        f'shape {logits.shape}')
  check(covs.shape in ((num, dim, dim), (dim, dim)), 'gaussian_mixture',
        f'covs must be [{num}, {dim}, {dim}] or [{dim}, {dim}]',
        f'shape {covs.shape}')
  variances, bases = jnp.linalg.eigh(
      jnp.broadcast_to(covs, (num, dim, dim)))  # [K, D], [K, D, D]
  variances = jnp.maximum(variances, 0.0)  # eigh of a singular matrix errs
  log_weights = jax.nn.log_softmax(logits)

  def components(x: Array, t: Array):
    alpha, sigma = coefficients(process, t, 3)  # [], [B] to [B, 1, 1]
    # Deviations in each component's eigenbasis: [B, K, D].
    z = jnp.einsum('bkd,kde->bke', widen(x)[:, None] - alpha * means, bases)
    var = jnp.square(alpha) * variances + jnp.square(sigma)
    nats = log_weights - 0.5 * jnp.sum(
        jnp.square(z) / var + jnp.log(2 * math.pi * var), axis=-1)
    return alpha, z, var, nats

  def log_prob(x: Array, t: Array) -> Array:
    return jax.nn.logsumexp(components(x, t)[-1], axis=1)

  def denoise(x: Array, t: Array) -> Array:
    alpha, z, var, nats = components(x, t)
    shift = jnp.einsum('bke,kde->bkd', alpha * variances / var * z, bases)
    return jnp.einsum('bk,bkd->bd', jax.nn.softmax(nats, axis=1), means + shift)

  return Exact(denoise, log_prob)


def finite_dataset(process: Process, data: Array, *, chunk: int = 128) -> Exact:
  """The truth for data drawn uniformly from N given points.

  The denoiser that a network of unlimited capacity, trained for ever, would
  become: a softmax-weighted mean of the training set (arXiv:2206.00364,
  appendix B.3). Runs over the points in chunks with a running log-sum-exp.

  Args:
    process: the noise process.
    data: [N, ...].
    chunk: how many points are compared at a time.
  """
  num, event_ndims = data.shape[0], data.ndim - 1
  check(num >= 1, 'finite_dataset', 'data must hold a point', data.shape)
  chunk = min(chunk, num)
  padding = -num % chunk
  points = jnp.pad(widen(data), [(0, padding)] + [(0, 0)] * event_ndims)
  points = points.reshape(-1, chunk, *data.shape[1:])
  log_mask = jnp.where(jnp.arange(num + padding) < num, 0.0, -jnp.inf)
  log_mask = log_mask.reshape(-1, chunk)
  axes = tuple(range(2, 2 + event_ndims))

  def scan(x: Array, t: Array):
    x = widen(x)
    alpha, sigma = (a.astype(x.dtype)
                    for a in coefficients(process, t, x.ndim + 1))

    def body(state, inputs):
      top, total, weighted = state
      block, mask = inputs
      squared = jnp.sum(jnp.square(x[:, None] - alpha * block), axis=axes)
      nats = mask - 0.5 * squared / jnp.square(sigma.reshape(-1, 1))
      new_top = jnp.maximum(top, jnp.max(nats, axis=1))
      weights = jnp.exp(nats - new_top[:, None])
      keep = jnp.exp(top - new_top)
      mean = jnp.tensordot(weights, block, axes=1)
      return (new_top, keep * total + jnp.sum(weights, axis=1),
              broadcast_right(keep, x.ndim) * weighted + mean), None

    start = (jnp.full(x.shape[:1], -jnp.inf, x.dtype),
             jnp.zeros(x.shape[:1], x.dtype), jnp.zeros_like(x))
    return jax.lax.scan(body, start, (points.astype(x.dtype),
                                      log_mask.astype(x.dtype)))[0]

  def denoise(x: Array, t: Array) -> Array:
    _, total, weighted = scan(x, t)
    return weighted / broadcast_right(total, x.ndim)

  def log_prob(x: Array, t: Array) -> Array:
    top, total, _ = scan(x, t)
    sigma, dims = process.sigma(t), data[0].size
    return (top + jnp.log(total) - math.log(num)
            - 0.5 * dims * jnp.log(2 * math.pi * jnp.square(sigma)))

  return Exact(denoise, log_prob)
