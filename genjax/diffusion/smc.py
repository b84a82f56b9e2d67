"""Sequential Monte Carlo: particles that are weighted, and drawn anew.

A sampler of P particles a sample, x [B, P, ...], whose weighted law becomes
exact as P grows, for the chain of `ancestral` steps on the grid. What they
weigh on the way is an estimate of the evidence without bias, whatever P.

    sampled = samplers.sample(key, twisted(process, twist), over_particles(d),
                              x, times)
    x0 = pick(key, sampled)  # one particle a sample, [B, ...]
    nats = log_evidence(sampled.carry)  # log p(y) [B]
"""

import math
from typing import NamedTuple, Sequence

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.diffusion.inverse import along
from genjax.diffusion.inverse import Twist
from genjax.diffusion.process import transition
from genjax.diffusion.samplers.solve import Noise
from genjax.diffusion.samplers.solve import Sampled
from genjax.diffusion.samplers.solve import Sampler
from genjax.diffusion.samplers.solve import Span
from genjax.numerics import fold_in_each
from genjax.numerics import log_mean_exp
from genjax.numerics import scaled
from genjax.numerics import sum_trailing
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process
from genjax.types import PyTree


class Weights(NamedTuple):
  """What sequential Monte Carlo remembers of P particles a sample."""

  log_weights: Array  # [B, P] nats, of each since they were last drawn anew
  log_evidence: Array  # [B] nats, of what was weighed before that


def over_particles(denoiser: Denoiser) -> Denoiser:
  """A denoiser of [B P, ...] as one of [B, P, ...], at one time t []."""
  return lambda x, t: denoiser(x.reshape(-1, *x.shape[2:]), t).reshape(x.shape)


def _begin(x: Array) -> Weights:
  check(x.ndim >= 3, 'smc', 'x must be [B, P, ...], P particles a sample',
        f'shape {x.shape}')
  return Weights(jnp.zeros(x.shape[:2], x.dtype),
                 jnp.zeros(x.shape[:1], x.dtype))


def log_evidence(weights: Weights) -> Array:
  """log of the estimate of the evidence in nats [B]; its exp has no bias."""
  return weights.log_evidence + log_mean_exp(weights.log_weights, axis=1)


def effective(log_weights: Array) -> Array:
  """Effective number of particles, 1 / sum of squares of weights: [B]."""
  return 1 / jnp.sum(jnp.square(jax.nn.softmax(log_weights, axis=1)), axis=1)


def pick(key: Key, sampled: Sampled, index: Array | None = None) -> Array:
  """One particle a sample [B, ...], drawn by the weights.

  Args:
    key: folded with each sample's index.
    sampled: what `sample` gave.
    index: [B] sample indices; 0..B-1 where absent.
  """
  # Methods that remember more keep their weights first.
  carry = sampled.carry
  log_weights = (carry if isinstance(carry, Weights) else carry[0]).log_weights
  index = jnp.arange(sampled.x.shape[0]) if index is None else index
  chosen = jax.vmap(jax.random.categorical)(
      fold_in_each(key, index), log_weights)
  return jax.vmap(lambda x, i: x[i])(sampled.x, chosen)


def _anew(
    uniform: Array, weights: Weights, tree: PyTree, threshold: float
) -> tuple[Weights, PyTree]:
  """Particles drawn anew by their weights, where these are too unequal.

  Systematic resampling (arXiv:cs/0507025, section 2.4), of samples whose
  effective number is below threshold P: of each particle, P times its weight
  in the mean, so that the evidence stays without bias.

  Args:
    uniform: [B], in (0, 1).
    weights: of the particles.
    tree: of arrays [B, P, ...], what belongs to each.
    threshold: share of P.
  """
  log_weights, before = weights
  num = log_weights.shape[1]
  shares = jnp.cumsum(jax.nn.softmax(log_weights, axis=1), axis=1)
  places = (uniform[:, None] + jnp.arange(num)) / num
  drawn = jax.vmap(jnp.searchsorted)(shares, places)
  wanted = effective(log_weights) < threshold * num
  source = jnp.where(wanted[:, None], jnp.minimum(drawn, num - 1),
                     jnp.arange(num))
  return Weights(
      jnp.where(wanted[:, None], 0.0, log_weights),
      before + jnp.where(wanted, log_mean_exp(log_weights, axis=1), 0.0),
  ), jax.tree.map(lambda a: jax.vmap(lambda a, i: a[i])(a, source), tree)


def _uniform(noise: Noise) -> Array:
  """Uniform [B]: of a normal, which is all that a step may draw."""
  return jax.scipy.stats.norm.cdf(noise(1, ()))


class Kernel(NamedTuple):
  """The reverse chain's step from t to s: x_s is N(mean, 1 / (back + prior)).

  `back` is the precision with which x_t tells x_s, `prior` that of the law of
  x_s itself, were data N(0, data_std^2 I).
  """

  mean: Array  # [B, P, ...]
  back: Array  # []
  prior: Array  # []

  @property
  def std(self) -> Array:
    return 1 / jnp.sqrt(self.back + self.prior)


def kernel(
    process: Process, x: Array, x0: Array, span: Span, data_std: float
) -> Kernel:
  """A step of `ancestral` with the spread of x_0 about what is expected of it.

  That spread is taken from data of N(0, data_std^2 I), for which the chain is
  exact whatever the grid; data_std 0 is `ancestral`.
  """
  t, s = span.t, span.s
  sigma, alpha = process.sigma(s), process.alpha(s)
  # Of the noise in x_s, what is in x_t too.
  share = jnp.exp(process.log_snr(t) - process.log_snr(s))
  scale, std = transition(process, s, t)
  ratio = sigma * jnp.sqrt(share) / process.sigma(t)
  mean = ratio * x + (alpha - process.alpha(t) * ratio) * x0
  return Kernel(mean, jnp.square(scale / std),
                1 / (jnp.square(alpha * data_std) + jnp.square(sigma)))


def twisted(
    process: Process, twist: Twist, *, data_std: float = 0.0,
    threshold: float = 0.5
) -> Sampler:
  """The twisted diffusion sampler: draws from p(x) psi(x) / Z.

  Wu et al., arXiv:2306.17775, algorithm 1. A twist psi_t, a guess at E[psi(x_0)
  | x_t], steers the steps of `kernel` and is weighed against what they were
  without it; so what comes out is right as particles become many, whatever the
  guess. At the last time the twist of x itself is psi: the likelihood of a
  measurement, see `inverse.make_twist`, or exp of a reward.

  It remembers (`Weights`, what is not yet weighed [B, P]).

  Args:
    process: the noise process.
    twist: (x0 [B, P, ...], t) -> log psi_t [B, P] of the denoised x_t.
    data_std: as of `kernel`.
    threshold: particles are drawn anew where their effective number is less
      than this share of them.

  Raises:
    ValueError: threshold is outside [0, 1].
  """
  check_in_range('twisted', 'threshold', threshold, 0.0, 1.0)

  def step(noise, carry, x, denoiser, span):
    weights, owed = carry
    x0, slope, value = along(denoiser, twist, x, span.t)
    weights = weights._replace(log_weights=weights.log_weights + owed + value)
    weights, (x, x0, slope, value) = _anew(
        _uniform(noise), weights, (x, x0, slope, value), threshold)
    mean, std = (k := kernel(process, x, x0, span, data_std)).mean, k.std
    push, drawn = std * slope, noise(0)
    # log of the density of x_s without the push over that with it.
    event = x.ndim - 2
    ratio = -sum_trailing(push * drawn + 0.5 * jnp.square(push), event)
    x = mean + std * (push + drawn)
    owed = ratio - value
    end = jnp.where(span.index == span.count - 1, 1.0, 0.0)
    return (weights._replace(log_weights=weights.log_weights + end * owed
                             + scaled(end, twist(x, span.s))),
            (1 - end) * owed), x

  def init(x):
    weights = _begin(x)
    return weights, weights.log_weights

  return Sampler(init, step)


def composed(
    process: Process, others: Sequence[Denoiser], exponents: Sequence[float],
    *, data_std: float, threshold: float = 0.5
) -> Sampler:
  """Draws from the product of powers of models, prod p_i(x)^b_i / Z.

  Each p_i is the law of a chain of steps of `kernel`. As the chains reverse the
  process that adds noise, q, their product with data of this law is prod
  p_i(path)^b_i / q(path | x_0)^(b - 1), b the sum of exponents: each of its
  steps is Gaussian, is drawn from exactly, and is weighed by its integral. Of
  two models with exponents 1, 1 it is a product of experts; of one with b, a
  tempered model; of a conditional and an unconditional one with w and 1 - w,
  the law that guidance is often said to sample. A Feynman-Kac corrector
  (arXiv:2503.02819) in discrete time. Z is in the units of the data.

  It remembers `Weights`, begins at N(0, alpha^2 data_std^2 + sigma^2), from
  which x must be drawn, and cannot begin where alpha is 0.

  Args:
    process: the noise process of all of them.
    others: denoisers beside the one that `sample` is given, which is first.
    exponents: b_i, one a denoiser, of positive sum.
    data_std: standard deviation of the data, positive; see `kernel`.
    threshold: as of `twisted`.

  Raises:
    ValueError: numbers of exponents and denoisers differ, or the sum of
      exponents or data_std is not positive.
  """
  check(len(exponents) == len(others) + 1, 'composed',
        f'exponents must be {len(others) + 1}, one a model', len(exponents))
  total = math.fsum(exponents)
  check(math.isfinite(total) and total > 0, 'composed',
        'exponents must be finite, of a positive sum', tuple(exponents))
  check_positive('composed', 'data_std', data_std)
  check_in_range('composed', 'threshold', threshold, 0.0, 1.0)

  def narrow(x: Array, span: Span) -> tuple[Array, Array]:
    """At first, N(0, v)^b from N(0, v), and log of the integral of that."""
    variance = (jnp.square(process.alpha(span.t) * data_std)
                + jnp.square(process.sigma(span.t)))
    nats = 0.5 * math.prod(x.shape[2:]) * (
        (1 - total) * jnp.log(2 * math.pi * variance) - math.log(total))
    first = span.index == 0
    return (jnp.where(first, x / math.sqrt(total), x),
            jnp.where(first, nats, 0.0))

  def step(noise, weights, x, denoiser, span):
    x, nats = narrow(x, span)
    scale, _ = transition(process, span.s, span.t)
    here, event = x / scale, x.ndim - 2
    steps = [kernel(process, x, d(x, span.t), span, data_std)
             for d in (denoiser, *others)]
    moves = [k.mean - here for k in steps]
    move = sum(b * m for b, m in zip(exponents, moves))
    squares = sum(b * sum_trailing(jnp.square(m), event)
                  for b, m in zip(exponents, moves))
    _, back, prior = steps[0]
    each, precision = back + prior, back + total * prior
    nats += 0.5 * math.prod(x.shape[2:]) * (
        total * jnp.log1p(prior / back) - jnp.log1p(total * prior / back)
        + 2 * (total - 1) * jnp.log(scale)) - 0.5 * each * (
            squares
            - each / precision * sum_trailing(jnp.square(move), event))
    weights, (here, move) = _anew(
        _uniform(noise),
        weights._replace(log_weights=weights.log_weights + nats),
        (here, move), threshold)
    return weights, (here + each / precision * move
                     + noise(0) / jnp.sqrt(precision))

  return Sampler(_begin, step, needs_alpha=True)
