"""How far one distribution is from another, in nats.

`kl_*(p_params, q_params)` is KL(p || q) within one family in closed form,
[*batch]; `kl_monte_carlo` and `jensen_shannon` take any two distributions.

The closed forms are not the textbooks' differences of entropies but sums of
terms that vanish with the difference of p and q, so that the divergence of two
almost equal distributions keeps its digits and is never below zero. Most terms
are a `deviance`, the Bregman divergence of x log x: the KL of an exponential
family is one of Bregman's (Banerjee et al. 2005, Clustering with Bregman
Divergences, section 4). Where p has mass and q has none it is inf, and params
outside of the family give NaN. Computed in float32 at least.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.distributions.base import Distribution
from genjax.distributions.base import expectation
from genjax.distributions.base import MonteCarlo
from genjax.distributions.bounded import BetaParams
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import UniformParams
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import BinomialParams
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.multivariate import MultivariateNormalParams
from genjax.distributions.params import finite
from genjax.distributions.params import floating
from genjax.distributions.params import minus_inf_where
from genjax.distributions.params import P
from genjax.distributions.params import positive
from genjax.distributions.params import quotient
from genjax.distributions.params import zero
from genjax.distributions.saddle_point import deviance
from genjax.distributions.saddle_point import exp_remainder
from genjax.distributions.saddle_point import log_quotient
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params

# log Gamma(z) = (z - 1/2) log z - z + log sqrt(2 pi) + sum of c z^-n over n: c;
# from z = 16 on, what is left out is 1e-10 of the sum.
_STIRLING = {1: 1 / 12, 3: -1 / 360, 5: 1 / 1260, 7: -1 / 1680}
_RAISED_BY = 16


def kl_normal(p: NormalParams, q: NormalParams) -> Array:
  """KL of two normal distributions [*batch], nats."""
  p, q = _wide(p), _wide(q)
  p_scale, q_scale = positive(p.scale), positive(q.scale)
  change = jnp.square(quotient(p_scale - q_scale, q_scale))
  shift = jnp.square(quotient(finite(p.loc - q.loc), q_scale))
  return _unit_deviance(q_scale, p_scale) + 0.5 * (change + shift)


def kl_laplace(p: LaplaceParams, q: LaplaceParams) -> Array:
  """KL of two Laplace distributions [*batch], nats."""
  p, q = _wide(p), _wide(q)
  p_scale, q_scale = positive(p.scale), positive(q.scale)
  shift = jnp.abs(finite(p.loc - q.loc))
  # Beyond 100 scales e^-d is 0, and the quotient may overflow.
  away = -quotient(jnp.minimum(shift, 100 * p_scale), p_scale)
  ratio = quotient(p_scale, q_scale)
  return _unit_deviance(q_scale, p_scale) + jnp.where(
      shift > p_scale, quotient(shift, q_scale) + ratio * jnp.expm1(away),
      ratio * exp_remainder(away))


def kl_uniform(p: UniformParams, q: UniformParams) -> Array:
  """KL of two uniform distributions [*batch], nats; inf where q is within p."""
  p, q = _wide(p), _wide(q)
  # In a unit of 8 where a width in one of 1 overflows.
  unit = jnp.where(jnp.isinf(p.high - p.low) | jnp.isinf(q.high - q.low), 8, 1)
  (p_low, p_high), (q_low, q_high) = (
      [end / unit for end in r] for r in (p, q))
  p_width, q_width = positive(p_high - p_low), positive(q_high - q_low)
  outside = (p.low < q.low) | (p.high > q.high)
  wider = jnp.maximum((q_high - p_high) + (p_low - q_low), 0)
  nats = jnp.log1p(quotient(wider, p_width)) + 0 * q_width
  return -minus_inf_where(outside, -nats)


def kl_exponential(p: ExponentialParams, q: ExponentialParams) -> Array:
  """KL of two exponential distributions [*batch], nats."""
  p_rate, q_rate = positive(_wide(p).rate), positive(_wide(q).rate)
  return _unit_deviance(p_rate, q_rate)


def kl_gamma(p: GammaParams, q: GammaParams) -> Array:
  """KL of two gamma distributions [*batch], nats."""
  (a, p_rate), (b, q_rate) = (map(positive, _wide(r)) for r in (p, q))
  change = b - a
  excess = change + a * quotient(p_rate - q_rate, p_rate)
  nats = deviance(b, a * quotient(q_rate, p_rate), excess,
                  log_quotient(b, a) + log_quotient(p_rate, q_rate))
  nats = nats + _log_gamma_gap(b, a, change)
  return jnp.maximum(nats, 0)  # one rounding from equal, either sign


def kl_beta(p: BetaParams, q: BetaParams) -> Array:
  """KL of two beta distributions [*batch], nats."""
  return kl_dirichlet(*(
      DirichletParams(jnp.stack(jnp.broadcast_arrays(*_wide(r)), axis=-1))
      for r in (p, q)))


def kl_dirichlet(p: DirichletParams, q: DirichletParams) -> Array:
  """KL of two Dirichlet distributions on K categories [*batch], nats.

  Raises:
    ValueError: the two have different K.
  """
  a, b = (positive(_wide(r).concentration) for r in (p, q))
  _check_sizes('kl_dirichlet', a, b)
  # What the two differ in is taken before anything is rounded.
  change = b - a
  a_total, b_total, total_change = (
      jnp.sum(c, axis=-1, keepdims=True) for c in (a, b, change))
  excess = change - a / a_total * total_change
  each = (deviance(b, a * quotient(b_total, a_total), excess,
                   log_quotient(b, a) + log_quotient(a_total, b_total))
          + _log_gamma_gap(b, a, change))
  nats = jnp.sum(each, axis=-1) - _log_gamma_gap(
      b_total, a_total, total_change)[..., 0]
  return jnp.maximum(nats, 0)  # one rounding from equal, either sign


def kl_bernoulli(p: BernoulliParams, q: BernoulliParams) -> Array:
  """KL of two Bernoulli distributions [*batch], nats."""
  log_odds = (_wide(r).logits for r in (p, q))
  # Of sure outcomes, which no finite logits have, the other one is absent.
  return _relative_entropy(*(
      jnp.stack([jnp.where(a == jnp.inf, -jnp.inf, 0.0),
                 jnp.where(a == jnp.inf, 0.0, a)], axis=-1)
      for a in jnp.broadcast_arrays(*log_odds)))


def kl_binomial(p: BinomialParams, q: BinomialParams) -> Array:
  """KL of two binomial distributions of one count [*batch], nats.

  For different counts it is inf where p has the larger one, and NaN, having no
  closed form, where q has.
  """
  p, q = _wide(p), _wide(q)
  n, most = (jnp.where((r.total_count >= 0)
                       & (r.total_count == jnp.floor(r.total_count)),
                       finite(r.total_count), jnp.nan) for r in (p, q))
  each = kl_bernoulli(BernoulliParams(p.logits), BernoulliParams(q.logits))
  # Of no tosses, too, where one toss would be infinitely far.
  each = jnp.where((n == 0) & (each == jnp.inf), 0, each)
  nats = jnp.where(n < most, jnp.nan, n + 0 * most) * each
  return -minus_inf_where(n > most, -nats)


def kl_categorical(p: CategoricalParams, q: CategoricalParams) -> Array:
  """KL of two distributions on K categories [*batch], nats.

  Raises:
    ValueError: the two have different K.
  """
  a, b = (_wide(r).logits for r in (p, q))
  _check_sizes('kl_categorical', a, b)
  return _relative_entropy(*jnp.broadcast_arrays(a, b))


def kl_poisson(p: PoissonParams, q: PoissonParams) -> Array:
  """KL of two Poisson distributions [*batch], nats."""
  p_rate, q_rate = (finite(_wide(r).rate) for r in (p, q))
  good, none = (p_rate >= 0) & (q_rate >= 0), (p_rate == 0) & (q_rate == 0)
  nats = deviance(*(jnp.where(none, 1.0, r) for r in (p_rate, q_rate)))
  return jnp.where(good, nats, jnp.nan)


def kl_multivariate_normal(
    p: MultivariateNormalParams, q: MultivariateNormalParams
) -> Array:
  """KL of two normal distributions on D axes [*batch], nats.

  Raises:
    ValueError: the two have different D.
  """
  p, q = _wide(p), _wide(q)
  _check_sizes('kl_multivariate_normal', p.loc, q.loc)
  p_tril, q_tril = jnp.tril(p.scale_tril), jnp.tril(q.scale_tril)
  p_diagonal, q_diagonal = (
      positive(jnp.diagonal(t, axis1=-2, axis2=-1)) for t in (p_tril, q_tril))
  # L_q^-1 [L_p - L_q, loc_p - loc_q], as for scalar scales and locations.
  change, shift = p_tril - q_tril, finite(p.loc - q.loc)[..., None]
  change, shift = change + 0 * shift, shift + 0 * change[..., :1]
  z = jax.scipy.linalg.solve_triangular(
      q_tril, jnp.concatenate([change, shift], axis=-1), lower=True)
  return (jnp.sum(_unit_deviance(q_diagonal, p_diagonal), axis=-1)
          + 0.5 * jnp.sum(jnp.square(z), axis=(-2, -1)))


def kl_monte_carlo(
    key: Key,
    p: Distribution,
    p_params: Params,
    q: Distribution,
    q_params: Params,
    num_samples: int,
) -> MonteCarlo:
  """KL(p || q) of any two distributions [*batch], nats, from draws of p.

  The mean of log p - log q: unbiased where both log-densities are exact, and
  single draws, and so their mean, may be below zero.

  Args:
    key: of the draws.
    p: the distribution that is drawn from.
    p_params: its params.
    q: the other one.
    q_params: its params.
    num_samples: how many draws, 2 or more.

  Raises:
    ValueError: fewer than two samples.
  """
  return expectation(
      key, p, p_params, _log_ratio(p, p_params, q, q_params), num_samples)


def jensen_shannon(
    key: Key,
    p: Distribution,
    p_params: Params,
    q: Distribution,
    q_params: Params,
    num_samples: int,
) -> MonteCarlo:
  """Jensen-Shannon divergence of any two distributions [*batch], nats.

  The mean of KL(p || m) and KL(q || m), m = (p + q) / 2: in [0, log 2], finite
  also where p and q have different supports, and the same for p and q
  exchanged. Lin (1991), Divergence Measures Based on the Shannon Entropy,
  eq. 4.1 for equal weights.

  Args:
    key: of the draws.
    p: one distribution.
    p_params: its params.
    q: the other one.
    q_params: its params.
    num_samples: how many draws of each, 2 or more.

  Raises:
    ValueError: fewer than two samples.
  """
  key_p, key_q = jax.random.split(key)
  ratio = _log_ratio(p, p_params, q, q_params)
  # log p / m = log 2 - log(1 + q / p).
  from_p = expectation(
      key_p, p, p_params,
      lambda x: math.log(2) - jax.nn.softplus(-ratio(x)), num_samples)
  from_q = expectation(
      key_q, q, q_params,
      lambda x: math.log(2) - jax.nn.softplus(ratio(x)), num_samples)
  return MonteCarlo(
      0.5 * (from_p.value + from_q.value),
      0.5 * jnp.hypot(from_p.standard_error, from_q.standard_error))


def entropy_monte_carlo(
    key: Key, dist: Distribution, params: Params, num_samples: int
) -> MonteCarlo:
  """Entropy -E[log p(x)] of any distribution [*batch], nats, from its draws.

  Raises:
    ValueError: fewer than two samples.
  """
  return expectation(
      key, dist, params, lambda x: -dist.log_prob(params, x), num_samples)


def _wide(params: P) -> P:
  """`params` as arrays of one dtype, float32 at least."""
  params = floating(params)
  dtype = jnp.promote_types(params[0].dtype, jnp.float32)
  return type(params)(*(p.astype(dtype) for p in params))


def _log_ratio(
    p: Distribution, p_params: Params, q: Distribution, q_params: Params
) -> Callable[[Array], Array]:
  """log p / q of draws [N, ...]: [N, *batch]."""
  # One draw at a time: N must not meet a batch axis that only one of them has.
  return jax.vmap(
      lambda x: p.log_prob(p_params, x) - q.log_prob(q_params, x))


def _check_sizes(where: str, p: Array, q: Array) -> None:
  check(p.shape[-1:] == q.shape[-1:], where,
        'both must have one size of the last axis',
        f'shapes {p.shape} and {q.shape}')


def _unit_deviance(
    x: Array, mean: Array, excess: Array | None = None
) -> Array:
  """deviance(x, mean, excess) / x, which has no unit."""
  excess = x - mean if excess is None else excess
  return deviance(jnp.ones_like(excess), quotient(mean, x),
                  quotient(excess, x), log_quotient(x, mean))


def _difference(x: Array, y: Array) -> tuple[Array, Array]:
  """x - y, and what its rounding lost (Knuth's sum of two)."""
  total = x - y
  taken = total - x
  return total, (x - (total - taken)) - (y + taken)


def _relative_entropy(a: Array, b: Array) -> Array:
  """KL of categorical distributions of logits [..., K]: [...].

  With d = b - a less its mean under p it is log E_p[e^d], and E_p[e^d - 1 - d]
  is a sum of no negative terms, which vanish with the square of d. Before the
  mean, the d of the most probable category is taken off, so that the others'
  shares count, however small.
  """
  log_p = jax.nn.log_softmax(a)
  p, log_total = jnp.exp(log_p), jax.nn.logsumexp(a, axis=-1, keepdims=True)
  absent = a == -jnp.inf
  missed = ~absent & (b == -jnp.inf)
  skipped = absent | missed
  top = jnp.arange(a.shape[-1]) == jnp.argmax(a, axis=-1)[..., None]

  def sum_of(mask, v):
    return jnp.sum(jnp.where(mask, v, 0), axis=-1, keepdims=True)

  parts = _difference(*(jnp.where(skipped, 0, v) for v in (b, a)))
  level = sum_of(top, parts[0])
  d = jnp.where(skipped, 0, sum(v - sum_of(top, v) for v in parts))
  mean = sum_of(~skipped, p * d)
  d = jnp.where(skipped, 0, d - mean)
  # Logarithms of p e^d, also of what only q has.
  nats = jnp.where(absent, b - log_total - level - mean, log_p + d)
  far = jnp.max(nats, axis=-1) > 1  # a sum of the e^d may overflow
  some = jnp.where(far[..., None], 0, nats)
  terms = jnp.where(
      absent, jnp.exp(some), jnp.where(
          d > 1, jnp.exp(some) - p - p * d,
          p * exp_remainder(jnp.minimum(d, 1))))
  kl = jnp.where(far, jax.nn.logsumexp(nats, axis=-1),
                 jnp.log1p(jnp.where(far, 0, jnp.sum(terms, axis=-1))))
  kl = kl + zero(jnp.max(b, axis=-1))  # NaN of bad logits
  return jnp.where(jnp.any(missed, axis=-1) & ~jnp.isnan(kl), jnp.inf, kl)


def _log_gamma_gap(y: Array, x: Array, change: Array) -> Array:
  """The Bregman divergence of log Gamma, less that of x log x, y from x > 0.

  log Gamma(y) - log Gamma(x) - digamma(x) (y - x) - deviance(y, x), no less
  than zero. The recurrence Gamma(x + 1) = x Gamma(x) adds one deviance a step,
  until Stirling's formula is exact; its terms z^-n differ by polynomials in
  1 / x and 1 / y with the factor (y - x)^2. `change` is y - x, which a rounding
  of x + 15 would spoil.
  """
  small = jnp.minimum(x, y) < _RAISED_BY
  steps = np.arange(_RAISED_BY, dtype=x.dtype)
  raised = jnp.sum(_unit_deviance(
      x[..., None] + steps, y[..., None] + steps, -change[..., None]), axis=-1)
  high_x = jnp.where(small, x + _RAISED_BY, x)
  high_y = jnp.where(small, y + _RAISED_BY, y)
  raised = raised + deviance(high_y, high_x, change) - deviance(y, x, change)
  a, b = 1 / high_x, 1 / high_y
  series = sum(c * sum((n - i) * a**(n - i) * b**i for i in range(n))
               for n, c in _STIRLING.items())
  return (jnp.where(small, raised, 0.0)
          + 0.5 * _unit_deviance(high_x, high_y, -change)
          + (change * a) * (change * b) * series)
