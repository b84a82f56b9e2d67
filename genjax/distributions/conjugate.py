"""Bayes' rule in closed form, where posterior and prior are of one family.

    coin = beta_bernoulli.posterior(BetaParams(1.0, 1.0), tosses)
    nats = beta_bernoulli.log_evidence(BetaParams(1.0, 1.0), tosses)

Observations are the bare ones, [N, *batch], in order and with N = 0 allowed.
The evidence is that of this very sequence: no binomial or multinomial
coefficient. It is summed from one-step predictive log-probabilities (the chain
rule), since differences of log-gamma functions of large counts lose the digits
that they share. Formulas: Murphy (2012), Machine Learning: A Probabilistic
Perspective, sections 3.3, 3.4 and 4.6.1.
"""

from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_rank
from genjax.distributions.base import Distribution
from genjax.distributions.bounded import BetaParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import bernoulli
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import categorical
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.params import floating
from genjax.distributions.params import positive
from genjax.distributions.saddle_point import log_quotient
from genjax.numerics import broadcast_right
from genjax.types import Array
from genjax.types import Params


class Conjugate(NamedTuple):
  """A prior that its likelihood keeps in the family: three pure functions.

  Data that have no probability under the prior, and params outside of the
  family, have no posterior: NaN.
  """

  posterior: Callable[[Params, Array], Params]  # (prior, x) -> params
  log_evidence: Callable[[Params, Array], Array]  # (prior, x) -> [*batch] nats
  # params -> those of the likelihood's family: the law of the next x.
  predictive: Callable[[Params], Params]


def normal_normal(noise_scale: Array | float) -> Conjugate:
  """Normal x of unknown mean, and of known standard deviation `noise_scale`.

  The prior of the mean, its posterior and the predictive are `NormalParams`.

  Args:
    noise_scale: [], one for all; in the unit of x.

  Raises:
    ValueError: `noise_scale` has axes.
  """
  check_rank('normal_normal', 'noise_scale', noise_scale, 0)

  def learn(prior: NormalParams, x: Array) -> NormalParams:
    # From the prior's mean: sums of x itself lose a small spread about a
    # large mean.
    total = _running_sum(x - prior.loc)
    num = broadcast_right(jnp.arange(len(total), dtype=total.dtype), x.ndim)
    noise = positive(jnp.asarray(noise_scale))
    ratio = positive(prior.scale) / noise
    # By the share of each: squares of a vague prior's ratio overflow.
    wider = jnp.hypot(1.0, jnp.sqrt(num) * ratio)
    share = ratio / wider
    return NormalParams(prior.loc + share * (share * total),
                        prior.scale / wider)

  def predictive(params: NormalParams) -> NormalParams:
    loc, scale = floating(params)
    noise = positive(jnp.asarray(noise_scale))
    return NormalParams(loc, jnp.hypot(positive(scale), noise))

  return _conjugate(learn, normal, predictive)


def _conjugate(
    learn: Callable[[Params, Array], Params],
    likelihood: Distribution,
    predictive: Callable[[Params], Params],
    event_ndims: int = 0,
) -> Conjugate:
  """From `learn`: (prior, x) -> params after 0 ... N of x, [N + 1, ...].

  Sums are taken in float32 or better, of whatever dtype prior and x are.
  """

  def dtype_of(prior: Params, x: Array):
    return jnp.result_type(*prior, x, float)

  def path(prior: Params, x: Array) -> tuple[Params, Array]:
    wide = jnp.promote_types(dtype_of(prior, x), jnp.float32)
    prior = jax.tree.map(lambda p: jnp.asarray(p, wide), prior)
    x = jnp.asarray(x)
    check(x.ndim >= 1, 'conjugate', 'x must be [N, ...]', f'shape {x.shape}')
    batch = max(jnp.ndim(p) for p in prior) - event_ndims
    # N must not meet a batch axis of the prior.
    x = jnp.expand_dims(x, tuple(range(1, 2 + batch - x.ndim)))
    return learn(prior, x), x

  def log_evidence(prior: Params, x: Array) -> Array:
    after, x = path(prior, x)
    before = jax.tree.map(lambda p: p[:-1], after)
    nats = jnp.sum(likelihood.log_prob(predictive(before), x), axis=0)
    return nats.astype(dtype_of(prior, x))

  def posterior(prior: Params, x: Array) -> Params:
    after, _ = path(prior, x)
    possible = log_evidence(prior, x) > -jnp.inf
    return jax.tree.map(
        lambda p: jnp.where(broadcast_right(possible, p.ndim - 1), p[-1],
                            jnp.nan).astype(dtype_of(prior, x)), after)

  return Conjugate(posterior, log_evidence, predictive)


def _running_sum(x: Array) -> Array:
  """Sums of the first 0 ... N of x [N, ...]: [N + 1, ...]."""
  return jnp.cumulative_sum(x, axis=0, include_initial=True)


def _learn_tosses(prior: BetaParams, x: Array) -> BetaParams:
  heads, tails = (_running_sum((x == k).astype(int)) for k in (1, 0))
  return BetaParams(positive(prior.alpha) + heads,
                    positive(prior.beta) + tails)


def _next_toss(params: BetaParams) -> BernoulliParams:
  alpha, beta = (positive(p) for p in floating(params))
  return BernoulliParams(log_quotient(alpha, beta))


def _learn_counts(prior: DirichletParams, x: Array) -> DirichletParams:
  categories = jnp.arange(prior.concentration.shape[-1])
  hits = (x[..., None] == categories).astype(int)
  return DirichletParams(
      positive(prior.concentration) + _running_sum(hits))


def _next_category(params: DirichletParams) -> CategoricalParams:
  return CategoricalParams(jnp.log(positive(floating(params).concentration)))


beta_bernoulli = _conjugate(_learn_tosses, bernoulli, _next_toss)
"""Bernoulli x, 0 or 1, whose probability of 1 is from `BetaParams`."""

dirichlet_categorical = _conjugate(
    _learn_counts, categorical, _next_category, event_ndims=1)
"""Categories x, 0 ... K - 1, of probabilities from `DirichletParams`."""
