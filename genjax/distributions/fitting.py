"""Parameters from data: maximum likelihood in closed form, EM, and a loss.

Every `fit_*` takes independent observations along the first axis, in numbers of
any type, and gives params in float32, or float64 where it is given that. Params
are NaN where an observation is, or where there is none.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.checks import check_rank
from genjax.distributions.base import Distribution
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from genjax.numerics import batch_mean
from genjax.numerics import safe_norm
from genjax.numerics import standard_deviation
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import LossFn


def maximum_likelihood(dist: Distribution) -> LossFn:
  """The loss -mean log p(x | params) in nats, of any distribution.

  Its minimiser is the maximum-likelihood estimate; gradients need params
  without constraints, which `reparameterize` gives.

  Returns:
    LossFn over batches {'x' [B, *event], 'mask' [B] if some examples are to be
    left out}; no metrics. The key and the context are not used.
  """

  def loss_fn(params, key, batch, context):
    del key, context
    return -batch_mean(batch, dist.log_prob(params, batch['x'])), {}

  return loss_fn


def fit_normal(x: Array) -> NormalParams:
  """Mean and standard deviation, of divisor N, of x [N, *batch]."""
  x = widen(x)
  return NormalParams(jnp.mean(x, 0), standard_deviation(x))


def fit_laplace(x: Array) -> LaplaceParams:
  """Median and mean distance to it of x [N, *batch]."""
  x = widen(x)
  loc = jnp.median(x, 0) if len(x) else jnp.mean(x, 0)
  return LaplaceParams(loc, jnp.mean(jnp.abs(x - loc), 0))


def fit_exponential(x: Array) -> ExponentialParams:
  """One over the mean of x [N, *batch]."""
  return ExponentialParams(1 / jnp.mean(widen(x), 0))


def fit_poisson(x: Array) -> PoissonParams:
  """The mean of counts x [N, *batch]."""
  return PoissonParams(jnp.mean(widen(x), 0))


def fit_bernoulli(x: Array) -> BernoulliParams:
  """Log-odds of the ones in x [N, *batch]; infinite where all agree."""
  x = widen(x)
  # Both are counted: of few zeros a difference of large counts keeps nothing.
  return BernoulliParams(jnp.log(jnp.sum(x, 0)) - jnp.log(jnp.sum(1 - x, 0)))


def fit_categorical(x: Array, num_classes: int) -> CategoricalParams:
  """Logits [*batch, K], the log of the shares in labels x [N, *batch].

  A class never seen has logit -inf. NaN where a label is none of 0..K-1.
  """
  x = jnp.asarray(x)
  seen = x[..., None] == jnp.arange(num_classes)
  share = jnp.sum(seen, 0, dtype=jnp.int32) / widen(len(x))
  known = jnp.all(jnp.any(seen, -1), 0)
  return CategoricalParams(jnp.where(known[..., None], jnp.log(share), jnp.nan))


def fit_multivariate_normal(x: Array) -> MultivariateNormalParams:
  """Mean and covariance, of divisor N, of x [N, D].

  NaN where the covariance is singular, as it is for N <= D.
  """
  check_rank('fit_multivariate_normal', 'x', x, 2)
  x = widen(x)
  num = x.shape[0]
  # Each axis in the unit of its deviations, of which the squares are numbers.
  unit = standard_deviation(x)
  z = (x - jnp.mean(x, 0)) / jnp.where(unit > 0, unit, 1)
  loc, covariance = _moments(z, jnp.full(num, 1 / max(num, 1), x.dtype))
  regular = jnp.all(unit > 0) & (num > x.shape[1])
  root = jnp.where(regular, jnp.linalg.cholesky(covariance), jnp.nan)
  return MultivariateNormalParams(jnp.mean(x, 0) + unit * loc,
                                  unit[:, None] * root)


def _moments(x: Array, weights: Array) -> tuple[Array, Array]:
  """Mean [D] and covariance [D, D] of x [N, D] under weights [N] of sum one."""
  loc = weights @ x
  centred = x - loc
  return loc, (weights[:, None] * centred).T @ centred


class MixtureFit(NamedTuple):
  """A mixture of Gaussians, and how it was found."""

  params: MixtureParams  # logits [K], MultivariateNormalParams [K, ...]
  # Mean log-likelihood in nats at the start and after each step: [T + 1].
  log_likelihood: Array


def fit_gaussian_mixture(
    key: Key,
    x: Array,
    num_components: int,
    *,
    num_steps: int = 100,
    num_restarts: int = 4,
    min_scale: float = 1e-3,
) -> MixtureFit:
  """Mixture of full-covariance Gaussians by expectation-maximisation.

  Dempster, Laird and Rubin 1977, from a k-means++ start (Arthur and
  Vassilvitskii 2007) with one pooled covariance. The likelihood of a mixture
  has no upper bound, so that no component may be thinner than a floor in any
  direction: eigenvalues of the covariances are clipped from below. This is
  the maximum under that constraint, so the log-likelihood never decreases. A
  component of which nothing is left has logit -inf. It all happens in units of
  the data's deviation from its mean, so that neither unit nor origin matters.

  Args:
    key: of the starts.
    x: [N, D].
    num_components: K.
    num_steps: T, of every start.
    num_restarts: starts, of which the likeliest end is returned.
    min_scale: smallest standard deviation of a component in any direction,
      as a share of the root mean variance of the data's coordinates; of the
      spacing of floats there where all points agree, and of 1 where all are 0.

  Returns:
    A `MixtureFit` for `mixture(multivariate_normal)`.

  Raises:
    ValueError: x is no matrix, or of fewer points than components.
  """
  where = 'fit_gaussian_mixture'
  check_rank(where, 'x', x, 2)
  check_positive(where, 'num_components', num_components)
  check_positive(where, 'num_restarts', num_restarts)
  check(x.shape[0] >= num_components, where,
        f'x must hold a point for each of {num_components} components',
        x.shape[0])
  x = widen(x)
  centre = jnp.mean(x, 0)
  deviation = safe_norm(standard_deviation(x)) / x.shape[1]**0.5
  finest = jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(x))
  unit = jnp.maximum(deviation, jnp.where(finest > 0, finest, 1))
  x = (x - centre) / unit
  floor = min_scale**2

  def step(params, _):
    log_likelihood, responsibilities = _e_step(params, x)
    weights, loc, covariance = _m_step(x, responsibilities)
    return _mixture_params(weights, loc, covariance, floor), log_likelihood

  def run(key):
    nearest = _nearest(x, _plus_plus_centres(key, x, num_components))
    weights, loc, covariance = _m_step(
        x, jax.nn.one_hot(nearest, num_components, dtype=x.dtype))
    # Its own covariance would trap a component that starts with few points.
    pooled = jnp.tensordot(weights, covariance, 1)
    start = _mixture_params(
        weights, loc, jnp.broadcast_to(pooled, covariance.shape), floor)
    params, trace = jax.lax.scan(step, start, length=num_steps)
    return MixtureFit(params, jnp.append(trace, _e_step(params, x)[0]))

  fits = jax.lax.map(run, jax.random.split(key, num_restarts))
  last = fits.log_likelihood[:, -1]
  best = jnp.argmax(jnp.where(jnp.isnan(last), -jnp.inf, last))
  fit = jax.tree.map(lambda leaf: leaf[best], fits)
  loc, scale_tril = fit.params.components
  return MixtureFit(
      fit.params._replace(components=MultivariateNormalParams(
          centre + unit * loc, unit * scale_tril)),
      fit.log_likelihood - x.shape[1] * jnp.log(unit))


def _e_step(params: MixtureParams, x: Array) -> tuple[Array, Array]:
  """Mean log-likelihood [] and responsibilities [N, K] of the components."""
  joint = jax.nn.log_softmax(params.logits) + multivariate_normal.log_prob(
      params.components, x[:, None])
  total = jax.nn.logsumexp(joint, axis=1)
  return jnp.mean(total), jnp.exp(joint - total[:, None])


def _m_step(
    x: Array, responsibilities: Array
) -> tuple[Array, Array, Array]:
  """Weights [K], means [K, D] and covariances [K, D, D] of the components."""
  counts = jnp.sum(responsibilities, 0)
  shares = responsibilities / jnp.maximum(counts, jnp.finfo(x.dtype).tiny)
  loc, covariance = jax.vmap(_moments, (None, 1))(x, shares)
  return counts / x.shape[0], loc, covariance


def _mixture_params(
    weights: Array, loc: Array, covariance: Array, floor: float
) -> MixtureParams:
  values, vectors = jnp.linalg.eigh(covariance)
  root = vectors * jnp.sqrt(jnp.maximum(values, floor))[:, None]
  # R of a QR decomposition of the root is a Cholesky factor, up to signs,
  # that does not square the condition number.
  upper = jnp.linalg.qr(jnp.swapaxes(root, 1, 2), mode='r')
  signs = jnp.sign(jnp.diagonal(upper, axis1=1, axis2=2))
  scale_tril = jnp.swapaxes(signs[:, :, None] * upper, 1, 2)
  return MixtureParams(jnp.log(weights),
                       MultivariateNormalParams(loc, scale_tril))


def _plus_plus_centres(key: Key, x: Array, num: int) -> Array:
  """`num` points of x [N, D], each likelier the farther from those before."""

  def choose(squared, key):
    centre = x[jax.random.categorical(key, jnp.log(squared))]
    return jnp.minimum(squared, jnp.sum((x - centre)**2, -1)), centre

  # Equal distances, so that the first choice is uniform.
  far = jnp.full(x.shape[0], jnp.finfo(x.dtype).max)
  return jax.lax.scan(choose, far, jax.random.split(key, num))[1]


def _nearest(x: Array, centres: Array) -> Array:
  """Index [N] of the centre [K, D] nearest to each point [N, D]."""
  return jnp.argmin(jnp.sum((x[:, None] - centres)**2, -1), 1)
