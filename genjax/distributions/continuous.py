"""Continuous families on the whole line: location and scale, elementwise.

Params that lie outside of a family (a scale that is not positive, a NaN) give
NaN, in samples and log-densities alike, for that member of a batch only.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import special

from genjax.distributions.base import Distribution
from genjax.distributions.gamma_draws import draw_gamma
from genjax.distributions.params import finite
from genjax.distributions.params import positive
from genjax.distributions.params import quotient
from genjax.distributions.params import rounded
from genjax.distributions.params import size
from genjax.distributions.params import zero
from genjax.distributions.saddle_point import log_quotient
from genjax.distributions.saddle_point import log_stirling_ratio
from genjax.distributions.special import beta_tails
from genjax.types import Array
from genjax.types import Key
from genjax.types import Shape

_LOG_2PI = math.log(2 * math.pi)


class NormalParams(NamedTuple):
  """Location and standard deviation, broadcast against each other."""

  loc: Array
  scale: Array  # standard deviation


class LaplaceParams(NamedTuple):
  """Location and scale b; the standard deviation is sqrt(2) b."""

  loc: Array
  scale: Array


class LogisticParams(NamedTuple):
  """Location and scale s; the standard deviation is pi s / sqrt(3)."""

  loc: Array
  scale: Array


class StudentTParams(NamedTuple):
  """Degrees of freedom, location and scale; infinite df are the normal's."""

  df: Array
  loc: Array
  scale: Array


def _located(params):
  """Params with a location and a scale, NaN where they are bad."""
  return params._replace(
      loc=finite(params.loc), scale=positive(params.scale))


def _shifted(unit_sample):
  """A sampler of loc + scale * unit_sample(key, shape, dtype)."""

  def sample(key: Key, params, shape: Shape = ()) -> Array:
    p = _located(params)
    return p.loc + p.scale * unit_sample(key, size(shape, p), p.loc.dtype)

  return sample


def _unit(params, x):
  """(x - loc) / scale, and log scale: NaN where params are bad."""
  log_scale = jax.lax.log(params.scale)  # of a good scale only it is finite
  return (quotient(x - params.loc, params.scale),
          log_scale + zero(params.loc + log_scale))


def _loc(params) -> Array:
  p = _located(params)
  return p.loc + 0 * p.scale  # of the whole batch's shape, NaN where bad


def _times_scale(variance: float):
  """Variance of a location-scale family from that of its unit member."""
  return lambda params: jnp.square(math.sqrt(variance) * _spread(params))


def _spread(params) -> Array:
  p = _located(params)
  return p.scale + 0 * p.loc


def _log_scale_plus(nats: float):
  """Entropy of a location-scale family from that of its unit member."""
  return lambda params: nats + jnp.log(_spread(params))


def _normal_log_prob(params: NormalParams, x: Array) -> Array:
  z, log_scale = _unit(params, x)
  return -0.5 * z**2 - (log_scale + 0.5 * _LOG_2PI)


normal = rounded(Distribution(
    sample=_shifted(jax.random.normal),
    log_prob=_normal_log_prob,
    mean=_loc,
    variance=_times_scale(1.0),
    entropy=_log_scale_plus(0.5 + 0.5 * _LOG_2PI),
    cdf=lambda params, x: special.ndtr(_unit(_located(params), x)[0])))
"""Normal distribution of mean `loc` and standard deviation `scale`."""


def _laplace_log_prob(params: LaplaceParams, x: Array) -> Array:
  z, log_scale = _unit(params, x)
  return -jnp.abs(z) - log_scale - math.log(2)


def _laplace_cdf(params: LaplaceParams, x: Array) -> Array:
  z, _ = _unit(_located(params), x)
  tail = 0.5 * jnp.exp(-jnp.abs(z))
  return jnp.where(z < 0, tail, 1 - tail)


laplace = rounded(Distribution(
    sample=_shifted(jax.random.laplace),
    log_prob=_laplace_log_prob,
    mean=_loc,
    variance=_times_scale(2.0),
    entropy=_log_scale_plus(1 + math.log(2)),
    cdf=_laplace_cdf))
"""Laplace (double exponential) distribution around `loc`."""


def _logistic_log_prob(params: LogisticParams, x: Array) -> Array:
  z, log_scale = _unit(params, x)
  away = jnp.abs(z)
  return -away - 2 * jnp.log1p(jnp.exp(-away)) - log_scale


logistic = rounded(Distribution(
    sample=_shifted(jax.random.logistic),
    log_prob=_logistic_log_prob,
    mean=_loc,
    variance=_times_scale(math.pi**2 / 3),
    entropy=_log_scale_plus(2.0),
    cdf=lambda params, x: jax.nn.sigmoid(_unit(_located(params), x)[0])))
"""Logistic distribution around `loc`."""


def _heavy(params: StudentTParams) -> StudentTParams:
  """Params, NaN where they are bad; df may be inf."""
  params = _located(params)
  return params._replace(df=jnp.where(params.df > 0, params.df, jnp.nan))


def _degrees(df: Array) -> tuple[Array, Array]:
  """Whether df are infinite, and df that are not."""
  endless = df == jnp.inf
  return endless, jnp.where(endless, 1.0, df)


def _student_t_sample(
    key: Key, params: StudentTParams, shape: Shape = ()
) -> Array:
  df, loc, scale = _heavy(params)
  key_normal, key_gamma = jax.random.split(key)
  full = size(shape, (df, loc, scale))
  endless, df = _degrees(df)
  # Half of a chi-square, of which few degrees are below all floats, as their
  # inverse is above them; a small scale brings a draw back.
  g, b = draw_gamma(key_gamma, jnp.broadcast_to(0.5 * df, full), full)
  wider = jnp.where(endless, 1.0, jnp.sqrt(0.5 * df / g))
  boost = jnp.where(endless, 1.0, jnp.exp(jnp.minimum(-0.25 * b, 80.0)))
  z = jax.random.normal(key_normal, full, df.dtype)
  return loc + scale * z * wider * boost * boost


def _student_t_log_prob(params: StudentTParams, x: Array) -> Array:
  df, loc, scale = _heavy(params)
  endless, df = _degrees(df)
  half = 0.5 * x - 0.5 * loc  # as x - loc may overflow
  # log(1 + w^2), where w or its square may overflow.
  far = jnp.abs(jax.lax.stop_gradient(half / scale / jnp.sqrt(df))) > 1e9
  far &= ~endless
  w = 2 * quotient(jnp.where(far, 0.0, half), scale) * (1 / jnp.sqrt(df))
  log_w = log_quotient(jnp.abs(jnp.where(far, half, 1.0)), scale) + math.log(2)
  log_tail = jnp.where(far, 2 * log_w - jnp.log(df), jnp.log1p(jnp.square(w)))
  return (_student_t_peak(endless, df) - jnp.log(scale)
          - 0.5 * jnp.where(endless, jnp.square(w), (df + 1) * log_tail))


def _student_t_peak(endless: Array, df: Array) -> Array:
  """Log-density at the location for scale 1, nats."""
  return (jnp.where(endless, 0.0, log_stirling_ratio(df / 2))
          - 0.5 * _LOG_2PI)


def _student_t_variance(params: StudentTParams) -> Array:
  df, loc, scale = _heavy(params)
  endless, df = _degrees(df)
  finite = df / (jnp.where(df > 2, df, 3.0) - 2)
  factor = jnp.where(df > 2, finite, jnp.where(df > 1, jnp.inf, jnp.nan))
  return scale * jnp.where(endless, 1.0, factor) * scale + 0 * loc


def _student_t_entropy(params: StudentTParams) -> Array:
  df, loc, scale = _heavy(params)
  endless, df = _degrees(df)
  # The derivative of the ratio is a difference of digamma functions.
  slope = 1 / df + jax.jvp(
      log_stirling_ratio, (df / 2,), (jnp.ones_like(df),))[1]
  away = jnp.where(endless, 0.5, 0.5 * (df + 1) * slope)
  return away - _student_t_peak(endless, df) + jnp.log(scale) + 0 * loc


@jax.custom_jvp
def _student_t_reach(df: Array, distance: Array, scale: Array) -> Array:
  """P(X <= loc + distance)."""
  # In logarithms: z^2 / df may leave the range of floats either way.
  endless = df == jnp.inf  # the normal's
  a = jnp.where(endless, 1, df / 2)
  log_odds = (2 * (jnp.log(jnp.abs(distance)) - jnp.log(scale))
              - jnp.log(2 * a))
  outer, inner = jax.nn.sigmoid(-log_odds), jax.nn.sigmoid(log_odds)
  both, _ = beta_tails(
      a, jnp.full_like(a, 0.5), outer, inner, -jax.nn.softplus(log_odds),
      -jax.nn.softplus(-log_odds), a * inner - 0.5 * outer)
  value = jnp.where(distance < 0, 0.5 * both, 1 - 0.5 * both)
  return jnp.where(endless, special.ndtr(distance / scale), value)


@_student_t_reach.defjvp
def _student_t_reach_jvp(primals, tangents):
  # At the centre, where `both` has a kink, only the density has a slope.
  (df, distance, scale), (d_df, d_distance, d_scale) = primals, tangents
  centre = distance == 0
  away = jnp.where(centre, scale, distance)
  _, by_df = jax.jvp(
      lambda df: _student_t_reach.fun(df, away, scale), (df,), (d_df,))
  density = jnp.exp(_student_t_log_prob(
      StudentTParams(df, jnp.zeros_like(scale), scale), distance))
  by_place = density * (d_distance - distance / scale * d_scale)
  return _student_t_reach(df, distance, scale), (
      jnp.where(centre, 0, by_df) + jnp.where(density > 0, by_place, 0))


def _student_t_cdf(params: StudentTParams, x: Array) -> Array:
  df, loc, scale = _heavy(params)
  return _student_t_reach(df, x - loc, scale)


student_t = rounded(Distribution(
    sample=_student_t_sample,
    log_prob=_student_t_log_prob,
    mean=lambda params: jnp.where(params.df > 1, _loc(params), jnp.nan),
    variance=_student_t_variance,
    entropy=_student_t_entropy,
    cdf=_student_t_cdf))
"""Student's t distribution; its mean exists for df > 1, variance for df > 2."""
