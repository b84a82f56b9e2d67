"""The posterior p(x | y) of linear measurements, of data that are known.

With `exact.gaussian_mixture` and `exact.finite_dataset`, which take what these
give, the denoiser E[x_0 | x_t, y] is known too.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_rank
from genjax.diffusion import operators
from genjax.diffusion.operators import Measurement
from genjax.distributions import gaussian
from genjax.numerics import widen
from genjax.types import Array


class MixturePosterior(NamedTuple):
  """A mixture of K Gaussians, and how likely the measurement was."""

  logits: Array  # [K], normalised
  means: Array  # [K, D]
  covs: Array  # [K, D, D]
  log_evidence: Array  # [] log p(y), nats


def gaussian_mixture(
    logits: Array, means: Array, covs: Array, matrix: Array, y: Array,
    noise_std: float
) -> MixturePosterior:
  """Of data from a mixture of K Gaussians and y = A x + noise_std z.

  Bayes' rule in every component; each weighs its evidence. One Gaussian is a
  mixture of one.

  Args:
    logits: [K] unnormalised log weights.
    means: [K, D].
    covs: [K, D, D], or [D, D] for all.
    matrix: A [M, D].
    y: [M].
    noise_std: positive, unless A C A^T is of full rank.

  Raises:
    ValueError: shapes do not fit.
  """
  check_rank('gaussian_mixture', 'means', means, 2)
  check_rank('gaussian_mixture', 'y', y, 1)
  means, matrix, y = widen(means), widen(matrix), widen(y)
  num, dim = means.shape
  check(matrix.shape == (y.shape[0], dim), 'gaussian_mixture',
        f'matrix must be [{y.shape[0]}, {dim}]', f'shape {matrix.shape}')
  covs = jnp.broadcast_to(widen(covs), (num, dim, dim))
  noise = noise_std**2 * jnp.eye(y.shape[0], dtype=means.dtype)

  def one(mean: Array, cov: Array):
    return gaussian.posterior(
        gaussian.GaussianParams(mean, cov), matrix, jnp.zeros_like(y), noise, y)

  (means, covs), nats = jax.vmap(one)(means, covs)
  joint = jax.nn.log_softmax(widen(logits)) + nats
  evidence = jax.nn.logsumexp(joint)
  return MixturePosterior(joint - evidence, means, covs, evidence)


class PointsPosterior(NamedTuple):
  """Weights of N points for each of B measurements."""

  logits: Array  # [B, N], normalised
  mean: Array  # [B, *event]
  log_evidence: Array  # [B] log p(y), nats


def finite_dataset(data: Array, measurement: Measurement) -> PointsPosterior:
  """Of data drawn uniformly from N points: each weighs its likelihood.

  Args:
    data: [N, *event].
    measurement: of B examples, its noise_std positive.
  """
  data = widen(data)

  def one(y: Array) -> Array:
    told = measurement._replace(y=y[None])
    return operators.log_likelihood(told, data[None])[0]

  nats = jax.lax.map(one, measurement.y) - math.log(data.shape[0])
  evidence = jax.nn.logsumexp(nats, axis=1)
  logits = nats - evidence[:, None]
  return PointsPosterior(
      logits, jnp.tensordot(jnp.exp(logits), data, axes=1), evidence)
