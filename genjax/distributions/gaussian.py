"""Gaussian algebra: what is done to Gaussians gives Gaussians, exactly.

    seen = gaussian.conditional(GaussianParams(mean, cov), (1,), value)
    draw = multivariate_normal.sample(
        key, gaussian.to_multivariate_normal(seen))

On means and covariances, where a sum, a linear map and a marginal cost no
factorisation. Leading axes are a batch and broadcast; float32 or float64.
Covariances may be singular wherever they are not inverted, and one that would
have to be and has no Cholesky factor gives NaN. Formulas: Bishop (2006),
Pattern Recognition and Machine Learning, section 2.3.
"""

from typing import NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from genjax.distributions.params import floating
from genjax.types import Array


class GaussianParams(NamedTuple):
  """A Gaussian on D axes by its mean and its covariance."""

  mean: Array  # [*batch, D]
  cov: Array  # [*batch, D, D], symmetric


def to_multivariate_normal(params: GaussianParams) -> MultivariateNormalParams:
  """Params of `multivariate_normal`; NaN where `cov` is not positive."""
  mean, cov = _gaussian('to_multivariate_normal', params)
  return MultivariateNormalParams(mean, jnp.linalg.cholesky(cov))


def affine(
    params: GaussianParams, matrix: Array, shift: Array
) -> GaussianParams:
  """The law of A x + b, of x from a Gaussian.

  Args:
    params: of x, [*batch, D].
    matrix: A [*batch, E, D].
    shift: b [*batch, E].

  Raises:
    ValueError: shapes do not fit.
  """
  mean, cov = _gaussian('affine', params)
  matrix, shift = jnp.asarray(matrix), jnp.asarray(shift)
  _check_linear('affine', matrix, mean, shift=shift)
  return GaussianParams(_apply(matrix, mean) + shift, _sandwich(matrix, cov))


def add(p: GaussianParams, q: GaussianParams) -> GaussianParams:
  """The law of x + y, of independent x from `p` and y from `q`.

  Its density is the convolution of the two. In one dimension: s eps_1 + t eps_2
  is sqrt(s^2 + t^2) eps.

  Raises:
    ValueError: the two have different dimensions.
  """
  p, q = _pair('add', p, q)
  return GaussianParams(p.mean + q.mean, p.cov + q.cov)


def product(
    p: GaussianParams, q: GaussianParams
) -> tuple[GaussianParams, Array]:
  """The product of two densities, normalised, and its log Z in nats.

  p(x) q(x) = Z N(x | result), Z = N(p.mean | q.mean, p.cov + q.cov): a Bayes
  update of `p` by an observation `q.mean` of x whose noise is `q.cov`.

  Returns:
    The product's params, and log Z = log of the integral of p q: [*batch].

  Raises:
    ValueError: the two have different dimensions.
  """
  p, q = _pair('product', p, q)
  identity = jnp.eye(p.mean.shape[-1], dtype=p.mean.dtype)
  return posterior(p, identity, jnp.zeros_like(q.mean), q.cov, q.mean)


def marginal(params: GaussianParams, indices: Sequence[int]) -> GaussianParams:
  """The law of the axes `indices` of x, in that order.

  Raises:
    ValueError: an index twice, or none of 0 ... D - 1.
  """
  mean, cov = _gaussian('marginal', params)
  kept, _ = _split('marginal', indices, mean.shape[-1])
  return GaussianParams(mean[..., kept], _block(cov, kept, kept))


def conditional(
    params: GaussianParams, indices: Sequence[int], values: Array
) -> GaussianParams:
  """The law of the other axes of x, where those in `indices` are known.

  With K = C_ro C_oo^-1, that of x_r - K (x_o - values): in this form the
  covariance is symmetric and stays positive.

  Args:
    params: of x, [*batch, D].
    indices: the O axes that are known.
    values: [*batch, O], what they are.

  Returns:
    Params of the D - O other axes, in their order.

  Raises:
    ValueError: an index twice, or none of 0 ... D - 1; shapes do not fit.
  """
  mean, cov = _gaussian('conditional', params)
  values = jnp.asarray(values)
  known, rest = _split('conditional', indices, mean.shape[-1])
  check(values.shape[-1:] == known.shape, 'conditional',
        f'values must be [..., {len(known)}]', f'shape {values.shape}')
  tril = jnp.linalg.cholesky(_block(cov, known, known))
  gain = _gain(tril, _block(cov, known, rest))
  residual = jnp.zeros((*gain.shape[:-1], mean.shape[-1]), gain.dtype)
  residual = residual.at[..., rest].set(jnp.eye(len(rest), dtype=gain.dtype))
  residual = residual.at[..., known].set(-gain)
  return GaussianParams(
      mean[..., rest] + _apply(gain, values - mean[..., known]),
      _sandwich(residual, cov))


def posterior(
    prior: GaussianParams,
    matrix: Array,
    shift: Array,
    noise_cov: Array,
    y: Array,
) -> tuple[GaussianParams, Array]:
  """Bayes' rule for y = A x + b + noise, and its log evidence in nats.

  The covariance in Joseph's form, (I - K A) C (I - K A)^T + K R K^T, which
  does not cancel where an observation says much more than the prior.

  Args:
    prior: of x, [*batch, D].
    matrix: A [*batch, E, D].
    shift: b [*batch, E].
    noise_cov: R [*batch, E, E], of the noise.
    y: [*batch, E], what was observed.

  Returns:
    Params of x given y, and log p(y) [*batch].

  Raises:
    ValueError: shapes do not fit.
  """
  mean, cov = _gaussian('posterior', prior)
  matrix, shift, noise_cov, y = (
      jnp.asarray(a) for a in (matrix, shift, noise_cov, y))
  _check_linear('posterior', matrix, mean, shift=shift, y=y)
  size = matrix.shape[-2]
  check(noise_cov.shape[-2:] == (size, size), 'posterior',
        f'noise_cov must be [..., {size}, {size}]', f'shape {noise_cov.shape}')
  predicted = to_multivariate_normal(GaussianParams(
      _apply(matrix, mean) + shift, _sandwich(matrix, cov) + noise_cov))
  gain = _gain(predicted.scale_tril, _matmul(matrix, cov))
  residual = jnp.eye(mean.shape[-1], dtype=gain.dtype) - _matmul(gain, matrix)
  updated = GaussianParams(
      mean + _apply(gain, y - predicted.loc),
      _sandwich(residual, cov) + _sandwich(gain, noise_cov))
  return updated, multivariate_normal.log_prob(predicted, y)


def _gaussian(where: str, params: GaussianParams) -> GaussianParams:
  params = floating(params)
  dim = params.mean.shape[-1:]
  check(len(dim) == 1 and params.cov.shape[-2:] == dim * 2, where,
        'mean and cov must be [..., D] and [..., D, D]',
        f'shapes {params.mean.shape} and {params.cov.shape}')
  return params


def _pair(
    where: str, p: GaussianParams, q: GaussianParams
) -> tuple[GaussianParams, GaussianParams]:
  p, q = _gaussian(where, p), _gaussian(where, q)
  check(p.mean.shape[-1] == q.mean.shape[-1], where,
        'both must have one dimension',
        f'{p.mean.shape[-1]} and {q.mean.shape[-1]}')
  return p, q


def _check_linear(
    where: str, matrix: Array, mean: Array, **outputs: Array
) -> None:
  check(matrix.ndim >= 2 and matrix.shape[-1] == mean.shape[-1], where,
        f'matrix must be [..., E, {mean.shape[-1]}]', f'shape {matrix.shape}')
  for name, value in outputs.items():
    check(value.shape[-1:] == matrix.shape[-2:-1], where,
          f'{name} must be [..., {matrix.shape[-2]}]', f'shape {value.shape}')


def _split(
    where: str, indices: Sequence[int], dim: int
) -> tuple[np.ndarray, np.ndarray]:
  """`indices`, and the axes that are not among them."""
  chosen = np.asarray(indices, int)
  distinct = set(chosen.ravel().tolist()) & set(range(dim))
  check(chosen.shape == (len(distinct),), where,
        f'indices must be different ones of 0 ... {dim - 1}', indices)
  return chosen, np.setdiff1d(np.arange(dim), chosen)


def _block(cov: Array, rows: np.ndarray, columns: np.ndarray) -> Array:
  return cov[..., rows[:, None], columns]


def _matmul(a: Array, b: Array) -> Array:
  # Accelerators multiply float32 with fewer digits unless told not to, and a
  # covariance that has lost its digits is not positive any more.
  return jnp.matmul(a, b, precision='highest')


def _apply(matrix: Array, x: Array) -> Array:
  return _matmul(matrix, x[..., None])[..., 0]


def _sandwich(matrix: Array, cov: Array) -> Array:
  """A C A^T, symmetric to the last digit."""
  full = _matmul(_matmul(matrix, cov), jnp.swapaxes(matrix, -1, -2))
  return 0.5 * (full + jnp.swapaxes(full, -1, -2))


def _gain(tril: Array, cross: Array) -> Array:
  """(C^-1 X)^T [..., D, E], of C = L L^T [..., E, E] and X [..., E, D]."""
  # With fewer axes than `tril`, jax would take `cross` for a batch of vectors.
  batch = jnp.broadcast_shapes(tril.shape[:-2], cross.shape[:-2])
  cross = jnp.broadcast_to(cross, batch + cross.shape[-2:])
  solved = jax.scipy.linalg.cho_solve((tril, True), cross)
  return jnp.swapaxes(solved, -1, -2)
