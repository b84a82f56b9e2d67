"""Families of vectors: multivariate normal and Dirichlet.

Params that lie outside of a family (a scale that is not positive, a NaN) give
NaN for that member of a batch only.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import special

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.gamma_draws import draw_gamma
from genjax.distributions.params import finite
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import positive
from genjax.distributions.params import quotient
from genjax.distributions.params import rounded
from genjax.distributions.params import zero
from genjax.distributions.saddle_point import deviance
from genjax.distributions.saddle_point import less_product
from genjax.distributions.saddle_point import log_quotient
from genjax.distributions.saddle_point import log_stirling
from genjax.distributions.saddle_point import unit_entropy
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

_LOG_2PI = math.log(2 * math.pi)


class MultivariateNormalParams(NamedTuple):
  """Mean, and the Cholesky factor L of the covariance L L^T.

  The diagonal of L is positive; what is above it is not read.
  """

  loc: Array  # [..., D]
  scale_tril: Array  # [..., D, D]


class LowRankNormalParams(NamedTuple):
  """Mean, and the covariance F F^T + diag(scale^2)."""

  loc: Array  # [..., D]
  factor: Array  # [..., D, R], F
  scale: Array  # [..., D]


class DirichletParams(NamedTuple):
  """Concentrations, positive; density proportional to prod x^(c - 1)."""

  concentration: Array  # [..., K]


def _product(matrix: Array, x: Array) -> Array:
  """[..., D, R] times [..., R], in full precision on every device."""
  return jnp.einsum('...dr,...r->...d', matrix, x,
                    precision=jax.lax.Precision.HIGHEST)


def _check_axes(where: str, x: Array, vector: Array) -> None:
  """Raises ValueError for x that would be broadcast to a vector."""
  dims = jnp.shape(vector)[-1:]
  check(not any(dims) or jnp.shape(x)[-1:] == dims, where,
        f'x must be [..., {dims[-1] if dims else ""}]', f'shape {jnp.shape(x)}')


def _normal(key: Key, params, shape: Shape) -> Array:
  return jax.random.normal(key, shape, params.loc.dtype)


def _nats(squared: Array, log_det: Array, dims: int) -> Array:
  """Normal log-density from |z|^2 and log |det A|, where x = loc + A z."""
  return -0.5 * squared - log_det - 0.5 * dims * _LOG_2PI


def _entropy(log_det: Array, dims: int) -> Array:
  return log_det + 0.5 * dims * (1 + _LOG_2PI)


def _cholesky(params: MultivariateNormalParams) -> MultivariateNormalParams:
  """Zeros above the diagonal, and NaN where it is bad."""
  loc, tril = params
  dims = loc.shape[-1:]
  check(dims != () and tril.shape[-2:] == dims + dims, 'multivariate_normal',
        'loc and scale_tril must be [..., D] and [..., D, D]',
        f'shapes {loc.shape} and {tril.shape}')
  # The column of a bad entry is NaN, and with it any product with a vector.
  bad = zero(positive(_diagonal(tril)))[..., None, :]
  return MultivariateNormalParams(finite(loc), jnp.tril(tril) + bad)


def _all_positive(x: Array) -> Array:
  """Whether a vector's entries are positive and finite: [..., 1]."""
  return jnp.all((x > 0) & (x < jnp.inf), axis=-1, keepdims=True)


def _diagonal(matrix: Array) -> Array:
  # By a mask: the gather of jnp.diagonal takes longer to compile.
  eye = jnp.eye(matrix.shape[-1], dtype=bool)
  return jnp.sum(jnp.where(eye, matrix, 0), axis=-1)


def _log_diagonal(matrix: Array) -> Array:
  return jnp.sum(jnp.log(jnp.abs(_diagonal(matrix))), axis=-1)


def _multivariate_normal_sample(
    key: Key, params: MultivariateNormalParams, shape: Shape = ()
) -> Array:
  loc, tril = params = _cholesky(params)
  full = (*shape, *jnp.broadcast_shapes(loc.shape, tril.shape[:-1]))
  return loc + _product(tril, _normal(key, params, full))


def _multivariate_normal_log_prob(
    params: MultivariateNormalParams, x: Array
) -> Array:
  loc, tril = _cholesky(params)
  _check_axes('multivariate_normal', x, loc)
  # One inverse for all points and a product for each is several times faster
  # than a solve for each, and as accurate: both lose cond(L) roundings.
  eye = jnp.eye(loc.shape[-1], dtype=tril.dtype)
  inverse = jax.lax.linalg.triangular_solve(
      tril, jnp.broadcast_to(eye, tril.shape), left_side=True, lower=True)
  z = _product(inverse, x - loc)
  return _nats(
      jnp.sum(jnp.square(z), axis=-1), _log_diagonal(tril), loc.shape[-1])


def _multivariate_normal_mean(params: MultivariateNormalParams) -> Array:
  loc, tril = _cholesky(params)
  # Of the whole batch's shape, NaN where bad.
  return loc + jnp.sum(zero(tril), axis=-1)


def _multivariate_normal_variance(params: MultivariateNormalParams) -> Array:
  loc, tril = _cholesky(params)
  return jnp.sum(jnp.square(tril), axis=-1) + 0 * loc


def _multivariate_normal_entropy(params: MultivariateNormalParams) -> Array:
  loc, tril = _cholesky(params)
  return _entropy(
      _log_diagonal(tril) + 0 * jnp.sum(loc, axis=-1), loc.shape[-1])


multivariate_normal = rounded(Distribution(
    sample=_multivariate_normal_sample,
    log_prob=_multivariate_normal_log_prob,
    event_ndims=1,
    mean=_multivariate_normal_mean,
    variance=_multivariate_normal_variance,
    entropy=_multivariate_normal_entropy))
"""Normal distribution of vectors, by the Cholesky factor of its covariance.

Its log-density at an infinite entry is NaN: -inf would take as long again.
"""


def _low_rank(params: LowRankNormalParams) -> LowRankNormalParams:
  """NaN scales where one of them is bad."""
  loc, factor, scale = params
  dims = loc.shape[-1:]
  check(dims != () and factor.shape[-2:-1] == scale.shape[-1:] == dims,
        'low_rank_normal',
        'loc, factor and scale must be [..., D], [..., D, R] and [..., D]',
        f'shapes {loc.shape}, {factor.shape} and {scale.shape}')
  return LowRankNormalParams(
      finite(loc), factor, jnp.where(_all_positive(scale), scale, jnp.nan))


def _whitened(params: LowRankNormalParams) -> tuple[Array, Array, Array]:
  """Q of W = F / scale stacked on I, as its two blocks, and log |det A|.

  By Woodbury's identity u^T (I + W W^T)^-1 u = min_a |u - W a|^2 + |a|^2, the
  residual of a least-squares problem. Differences of squares, the identity's
  usual form, lose all digits where F F^T dwarfs scale^2; its residual does
  not. By the determinant lemma |I + W W^T| = |I + W^T W| = |R^T R|.
  """
  _, factor, scale = params
  w = quotient(factor, scale[..., None])
  eye = jnp.eye(factor.shape[-1], dtype=factor.dtype)
  eye = jnp.broadcast_to(eye, (*w.shape[:-2], *eye.shape))
  q, r = jnp.linalg.qr(jnp.concatenate([w, eye], axis=-2))
  log_det = jnp.sum(jnp.log(scale), axis=-1) + _log_diagonal(r)
  return q[..., :w.shape[-2], :], q[..., w.shape[-2]:, :], log_det


def _low_rank_sample(
    key: Key, params: LowRankNormalParams, shape: Shape = ()
) -> Array:
  params = _low_rank(params)
  mean = _low_rank_mean(params)
  key_factor, key_scale = jax.random.split(key)
  shared = (*shape, *mean.shape[:-1], params.factor.shape[-1])
  return (mean + _product(params.factor, _normal(key_factor, params, shared))
          + params.scale * _normal(key_scale, params, (*shape, *mean.shape)))


def _low_rank_log_prob(params: LowRankNormalParams, x: Array) -> Array:
  params = _low_rank(params)
  _check_axes('low_rank_normal', x, params.loc)
  top, bottom, log_det = _whitened(params)
  u = quotient(x - params.loc, params.scale)
  shared = _product(jnp.swapaxes(top, -1, -2), u)
  squared = (jnp.sum(jnp.square(u - _product(top, shared)), axis=-1)
             + jnp.sum(jnp.square(_product(bottom, shared)), axis=-1))
  return _nats(squared, log_det, u.shape[-1])


def _low_rank_mean(params: LowRankNormalParams) -> Array:
  loc, factor, scale = _low_rank(params)
  return loc + 0 * scale + 0 * jnp.sum(factor, axis=-1)


def _low_rank_variance(params: LowRankNormalParams) -> Array:
  loc, factor, scale = _low_rank(params)
  return jnp.sum(jnp.square(factor), axis=-1) + jnp.square(scale) + 0 * loc


def _low_rank_entropy(params: LowRankNormalParams) -> Array:
  params = _low_rank(params)
  log_det = _whitened(params)[-1] + 0 * jnp.sum(params.loc, axis=-1)
  return _entropy(log_det, params.loc.shape[-1])


low_rank_normal = rounded(Distribution(
    sample=_low_rank_sample,
    log_prob=_low_rank_log_prob,
    event_ndims=1,
    mean=_low_rank_mean,
    variance=_low_rank_variance,
    entropy=_low_rank_entropy))
"""Normal distribution of vectors whose covariance is low-rank plus diagonal.

No [D, D] matrix is formed: a log-density costs D R, and D R^2 once. At an
infinite entry it is NaN.
"""


def _concentration(params: DirichletParams) -> Array:
  (concentration,) = params
  check(concentration.ndim > 0 and concentration.shape[-1] > 0, 'dirichlet',
        'concentration must be [..., K] with K >= 1',
        f'shape {concentration.shape}')
  return jnp.where(_all_positive(concentration), concentration, jnp.nan)


def _dirichlet_sample(
    key: Key, params: DirichletParams, shape: Shape = ()
) -> Array:
  c = _concentration(params)
  g, b = draw_gamma(key, c, (*shape, *c.shape))
  # Boosts may be below all floats, but not next to the greatest.
  shares = g * jnp.exp(b - jnp.max(b, axis=-1, keepdims=True))
  return shares / jnp.sum(shares, axis=-1, keepdims=True)


def _dirichlet_nats(params: DirichletParams, x: Array) -> Array:
  """Log-density on the simplex; elsewhere NaN where x is, or any number."""
  c = _concentration(params)
  total = jnp.sum(c, axis=-1, keepdims=True)
  zero = jnp.abs(x) < jnp.finfo(x.dtype).tiny  # XLA takes subnormals for 0
  inside = jnp.where(zero, 1.0, jnp.abs(x))
  # Loader's form, as of the beta distribution: of every log Gamma only what
  # does not cancel. A rounding of the total does, as all excess is 0.
  excess = less_product(c, total, inside)
  nats = (jnp.log(c) - log_stirling(c) - jnp.log(inside)
          - deviance(c, total * inside, excess,
                     log_quotient(c, total, inside)))
  at_zero = jnp.where(c == 1, jnp.log(total),
                      jnp.where(c < 1, jnp.inf, -jnp.inf) + 0 * c)
  nats = jnp.sum(jnp.where(zero, at_zero, nats), axis=-1, keepdims=True)
  return (nats + log_stirling(total) - jnp.log(total))[..., 0]


def _dirichlet_mean(params: DirichletParams) -> Array:
  c = _concentration(params)
  return c / jnp.sum(c, axis=-1, keepdims=True)


def _dirichlet_variance(params: DirichletParams) -> Array:
  c = _concentration(params)
  total = jnp.sum(c, axis=-1, keepdims=True)
  return c / total * (_others(c) / total) / (total + 1)


def _others(c: Array) -> Array:
  """Sums of all entries but each one; the total less it loses digits."""
  before = jnp.cumulative_sum(c, axis=-1, include_initial=True)[..., :-1]
  after = jnp.cumulative_sum(c[..., ::-1], axis=-1, include_initial=True)
  return before + after[..., -2::-1]


def _dirichlet_entropy(params: DirichletParams) -> Array:
  c = _concentration(params)
  total = jnp.sum(c, axis=-1)
  # Shares of a gamma sum of concentration `total`, independent of it.
  return (jnp.sum(unit_entropy(c), axis=-1) - unit_entropy(total)
          - (c.shape[-1] - 1) * special.digamma(total))


_on_simplex = rounded(Distribution(
    sample=_dirichlet_sample,
    log_prob=_dirichlet_nats,
    event_ndims=1,
    mean=_dirichlet_mean,
    variance=_dirichlet_variance,
    entropy=_dirichlet_entropy), ends=(0, jnp.inf))


def _dirichlet_log_prob(params: DirichletParams, x: Array) -> Array:
  _check_axes('dirichlet', x, params.concentration)
  # Here the value has its own dtype still, which says how far it is rounded.
  tolerance = jnp.finfo(jnp.result_type(x, float)).eps**0.5
  off = jnp.abs(jnp.sum(x, axis=-1) - 1) > tolerance
  return minus_inf_where(
      off | jnp.any(x < 0, axis=-1), _on_simplex.log_prob(params, x))


dirichlet = _on_simplex._replace(log_prob=_dirichlet_log_prob)
"""Dirichlet distribution of vectors of K shares that sum to one.

Its density is that of the first K - 1. Where entries are zero it has its limit,
NaN where two of them pull to different infinities. A sum may be off one by the
square root of the epsilon of the value's dtype: 3e-4 in float32.
"""
