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
from genjax.diffusion import exact_flow
from genjax.diffusion import fields
from genjax.diffusion.process import coefficients
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import FlowMap
from genjax.types import Process


class Exact(NamedTuple):
  """The truth at every noise level; x [B, ...] and times, [] or [B]."""

  denoiser: Denoiser  # (x, t) -> E[x_0 | x_t] [B, ...]
  log_prob: Callable[[Array, Array], Array]  # (x, t) -> log p(x_t) [B], nats
  velocity: Callable[[Array, Array], Array]  # (x, t) -> dx/dt [B, ...]
  flow: FlowMap  # (x_t, t, s) -> x_s, along the probability flow


def _exact(
    process: Process, denoiser: Denoiser, log_prob: Callable,
    move: exact_flow.LevelMap
) -> Exact:
  return Exact(
      denoiser, log_prob,
      lambda x, t: fields.velocity(process, denoiser, x, t),
      exact_flow.in_time(process, move))


def gaussian(process: Process, mean: Array, cov: Array) -> Exact:
  """The truth for data from N(mean, cov), mean [D], cov [D, D].

  Its flow is a closed form, singular covariances and sigma = 0 included.
  """
  return gaussian_mixture(
      process, jnp.zeros(1), jnp.asarray(mean)[None], jnp.asarray(cov)[None])


def gaussian_mixture(
    process: Process, logits: Array, means: Array, covs: Array
) -> Exact:
  """The truth for data from a mixture of K Gaussians of full covariance.

  The flow is a closed form for K = 1, exact to a rounding for D = 1, and else
  `exact_flow.numerical`: with singular covariances it begins and ends where
  sigma > 0, unless K = 1.

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

  def components(x: Array, alpha: Array, sigma: Array):
    # Deviations in each component's eigenbasis: [B, K, D].
    z = jnp.einsum('bkd,kde->bke', widen(x)[:, None] - alpha * means, bases)
    var = jnp.square(alpha) * variances + jnp.square(sigma)
    nats = log_weights - 0.5 * jnp.sum(
        jnp.square(z) / var + jnp.log(2 * math.pi * var), axis=-1)
    return z, var, nats

  def moments(x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """E[x_0 | x] and E[eps | x], each [B, D]."""
    z, var, nats = components(x, alpha, sigma)
    weights = jax.nn.softmax(nats, axis=1)
    shift, eps = (jnp.einsum('bke,kde->bkd', a * z / var, bases)
                  for a in (alpha * variances, sigma))
    return (jnp.einsum('bk,bkd->bd', weights, means + shift),
            jnp.einsum('bk,bkd->bd', weights, eps))

  def log_prob(x: Array, t: Array) -> Array:
    # [], [B] to [B, 1, 1].
    return jax.nn.logsumexp(
        components(x, *coefficients(process, t, 3))[-1], axis=1)

  def denoise(x: Array, t: Array) -> Array:
    return moments(x, *coefficients(process, t, 3))[0]

  if num == 1:
    move = exact_flow.gaussian(means[0], variances[0], bases[0])
  elif dim == 1:
    move = exact_flow.on_the_line(log_weights, means[:, 0], variances[:, 0])
  else:
    move = exact_flow.numerical(lambda x, alpha, sigma: moments(
        x, broadcast_right(alpha, 3), broadcast_right(sigma, 3)))
  return _exact(process, denoise, log_prob, move)


def finite_dataset(
    process: Process, data: Array, logits: Array | None = None, *,
    chunk: int = 128
) -> Exact:
  """The truth for data drawn from N given points.

  The denoiser that a network of unlimited capacity, trained for ever, would
  become: a softmax-weighted mean of the training set (arXiv:2206.00364,
  appendix B.3). Runs over the points in chunks with a running log-sum-exp.

  The flow begins and ends where sigma > 0, for at sigma = 0 there are points
  alone: on the line exact to a rounding, elsewhere `exact_flow.numerical`.

  Args:
    process: the noise process.
    data: [N, ...].
    logits: [N] unnormalised log weights of the points; equal where absent.
    chunk: how many points are compared at a time.

  Raises:
    ValueError: there is no point, or logits is not [N].
  """
  num, event_ndims = data.shape[0], data.ndim - 1
  check(num >= 1, 'finite_dataset', 'data must hold a point', data.shape)
  logits = jnp.zeros(num) if logits is None else widen(logits)
  check(logits.shape == (num,), 'finite_dataset', f'logits must be [{num}]',
        f'shape {logits.shape}')
  log_weights = jax.nn.log_softmax(logits)
  chunk = min(chunk, num)
  padding = -num % chunk
  points = jnp.pad(widen(data), [(0, padding)] + [(0, 0)] * event_ndims)
  points = points.reshape(-1, chunk, *data.shape[1:])
  log_mask = jnp.pad(log_weights, (0, padding), constant_values=-jnp.inf)
  log_mask = log_mask.reshape(-1, chunk)
  axes = tuple(range(2, 2 + event_ndims))

  def scan(x: Array, alpha: Array, sigma: Array):
    x = widen(x)
    alpha, sigma = (broadcast_right(a, x.ndim + 1).astype(x.dtype)
                    for a in (alpha, sigma))

    def body(state, inputs):
      top, total, weighted = state
      block, mask = inputs
      squared = jnp.sum(jnp.square(x[:, None] - alpha * block), axis=axes)
      nats = mask - 0.5 * squared / jnp.square(sigma.reshape(-1, 1))
      # A constant: where it is rounded in two ways a slope of max is none.
      new_top = jax.lax.stop_gradient(
          jnp.maximum(top, jnp.max(nats, axis=1)))
      weights = jnp.exp(nats - new_top[:, None])
      keep = jnp.exp(top - new_top)
      mean = jnp.tensordot(weights, block, axes=1)
      return (new_top, keep * total + jnp.sum(weights, axis=1),
              broadcast_right(keep, x.ndim) * weighted + mean), None

    start = (jnp.full(x.shape[:1], -jnp.inf, x.dtype),
             jnp.zeros(x.shape[:1], x.dtype), jnp.zeros_like(x))
    return jax.lax.scan(body, start, (points.astype(x.dtype),
                                      log_mask.astype(x.dtype)))[0]

  def moments(x: Array, alpha: Array, sigma: Array) -> tuple[Array, Array]:
    """E[x_0 | x] and E[eps | x], each [B, ...]."""
    _, total, weighted = scan(x, alpha, sigma)
    x0 = weighted / broadcast_right(total, x.ndim)
    alpha, sigma = (broadcast_right(a, x.ndim) for a in (alpha, sigma))
    return x0, (x - alpha * x0) / sigma

  def denoise(x: Array, t: Array) -> Array:
    _, total, weighted = scan(x, process.alpha(t), process.sigma(t))
    return weighted / broadcast_right(total, x.ndim)

  def log_prob(x: Array, t: Array) -> Array:
    sigma, dims = process.sigma(t), data[0].size
    top, total, _ = scan(x, process.alpha(t), sigma)
    return (top + jnp.log(total)
            - 0.5 * dims * jnp.log(2 * math.pi * jnp.square(sigma)))

  if data.shape[1:] == (1,):
    move = exact_flow.on_the_line(
        log_weights, widen(data)[:, 0], jnp.zeros(num))
  else:
    move = exact_flow.numerical(moments)
  return _exact(process, denoise, log_prob, move)
