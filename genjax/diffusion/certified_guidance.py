"""What every guidance samples of Gaussian data, each a row of a table.

Entries are independent, of p(x | c) = N(+-1, .25) and p(x) = N(0, 1), half of
each sign: what acts on the entries of a sample as a whole (`rescaled`,
`projected`, `zero_star`) would, were they alike, act on their rounding. What is
told is the mean and variance of sign times entry. To be used in float64.
"""

import functools
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.diffusion import exact
from genjax.diffusion import exact_guided
from genjax.diffusion import guidance
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import smc
from genjax.diffusion.exact_guided import Law
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process

SCALES = (1.0, 1.5, 2.0, 3.0)
SIGNS = np.tile([1.0, -1.0], 4)  # of the means of the entries
COND, UNCOND, WEAKER = (Law(*map(np.asarray, law)) for law in (
    (1.0, 0.25), (0.0, 1.0), (0.8, 0.5)))
STARTS = 2048  # of SIGNS.size entries each
INTERVAL = (-4.0, 4.0)  # log-SNR
SHARE, MOMENTUM = 0.7, -0.5
STEPS = 256  # of the one that remembers, of which a grid is a part
CHAINS, PARTICLES, CHAIN_STEPS = 1000, 256, 100
_TOLERANCE = 1e-9


class Pair(NamedTuple):
  """What is guided: the exact answers at every noise level."""

  process: Process
  cond: exact.Exact
  other: exact.Exact  # unconditional, or weaker


class Guidance(NamedTuple):
  """A guidance, and what is known of it."""

  make: Callable[[Pair, Array], Denoiser]  # of a scale []
  other: Law = UNCOND
  linear: bool = False  # whether `exact_guided.guided` is what it samples


def _free(pair: Pair, scale: Array) -> Denoiser:
  return guidance.classifier_free(
      pair.cond.denoiser, pair.other.denoiser, scale)


def _auto(pair: Pair, scale: Array) -> Denoiser:
  return guidance.autoguidance(pair.cond.denoiser, pair.other.denoiser, scale)


def _limited(pair: Pair, scale: Array) -> Denoiser:
  low, high = INTERVAL
  return guidance.limited_interval(
      pair.process, _free(pair, scale), pair.cond.denoiser, log_snr_low=low,
      log_snr_high=high)


def _classifier(pair: Pair, scale: Array) -> Denoiser:
  return guidance.classifier(
      pair.process, pair.other.denoiser,
      lambda x, t: pair.cond.log_prob(x, t) - pair.other.log_prob(x, t), scale)


def _rescaled(pair: Pair, scale: Array) -> Denoiser:
  return guidance.rescaled(_free(pair, scale), pair.cond.denoiser, SHARE)


def _projected(
    pair: Pair, scale: Array, push: float | Array = 0.0
) -> Denoiser:
  return guidance.projected(
      pair.cond.denoiser, pair.other.denoiser, scale, push=push)


def _zero_star(pair: Pair, scale: Array) -> Denoiser:
  return guidance.zero_star(
      pair.process, pair.cond.denoiser, pair.other.denoiser, scale)


# Those of a denoiser; of a sampler are 'momentum' and 'composed'.
DENOISERS: Mapping[str, Guidance] = {
    'classifier_free': Guidance(_free, linear=True),
    'limited_interval': Guidance(_limited),
    'autoguidance': Guidance(_auto, WEAKER, linear=True),
    'classifier': Guidance(_classifier, linear=True),
    'rescaled': Guidance(_rescaled),
    'projected': Guidance(_projected),
    'momentum': Guidance(_projected),
    'zero_star': Guidance(_zero_star),
}
COMPOSED = 'composed'
NAMES = (*DENOISERS, COMPOSED)


class Found(NamedTuple):
  """Mean and variance of what is sampled."""

  mean: float
  variance: float
  mean_noise: float = 0.0  # standard errors of what is drawn at random
  variance_noise: float = 0.0


class Known(NamedTuple):
  """The laws beside it, as (mean, variance)."""

  guided: tuple[float, float] | None  # where there is a closed form
  tilted: tuple[float, float]


def other(name: str) -> Law:
  """What a guidance leads away from: p(x), or the weaker model."""
  return DENOISERS[name].other if name in DENOISERS else UNCOND


def known(name: str, scale: float) -> Known:
  """What is known of a guidance at a scale, from infinite noise."""

  def pair(law: Law) -> tuple[float, float]:
    return float(law.mean[0]), float(law.variance[0])

  linear = name in DENOISERS and DENOISERS[name].linear
  return Known(
      pair(exact_guided.guided(COND, other(name), scale)) if linear else None,
      pair(exact_guided.tilted(COND, other(name), scale)))


@functools.cache
def starts(num: int) -> np.ndarray:
  """Standard normal [num, D], in each entry of mean 0 and variance 1 exactly.

  So of what is affine in x the mean and the variance are exact.
  """
  z = np.random.default_rng(0).standard_normal((num, SIGNS.size))
  z -= z.mean(axis=0)
  return z / z.std(axis=0)


def _exact(of: Process, law: Law, signs: np.ndarray) -> exact.Exact:
  return exact.gaussian(
      of, jnp.asarray(signs * law.mean), float(law.variance)
      * jnp.eye(signs.size))


def flow(name: str, scale: Any, x: Any) -> Array:
  """Where the probability flow of a guidance takes x [N, D] from all noise."""
  of, flow_of = DENOISERS[name], process.flow_matching()
  pair = Pair(flow_of, *(
      _exact(flow_of, law, SIGNS) for law in (COND, of.other)))
  denoiser = of.make(pair, scale)
  if name == 'momentum':
    times = flow_of.grid(STEPS)
    sampler = guidance.momentum(
        samplers.dpm_solver_2m(flow_of), pair.cond.denoiser,
        pair.other.denoiser, lambda push: _projected(pair, scale, push),
        MOMENTUM)
  else:
    times = jnp.asarray([1.0, 1e-6, 0.0])
    sampler = samplers.adaptive(flow_of, rtol=_TOLERANCE, atol=_TOLERANCE)
  return samplers.sample(jax.random.key(0), sampler, denoiser, x, times).x


def chain(scale: float, x: Any) -> Array:
  """One draw [N] of `smc.composed` with exponents scale and 1 - scale.

  Of a single entry.

  Args:
    scale: w.
    x: standard normal [N, PARTICLES, 1].
  """
  edm, alone = process.edm(sigma_max=20.0), np.ones(1)
  times = edm.grid(CHAIN_STEPS)
  cond, other = (smc.over_particles(_exact(edm, law, alone).denoiser)
                 for law in (COND, UNCOND))
  std = float(COND.variance)**0.5
  start = jnp.sqrt(jnp.square(edm.alpha(times[0]) * std)
                   + jnp.square(edm.sigma(times[0])))
  key, key_pick = jax.random.split(jax.random.key(1))
  sampled = samplers.sample(
      key, smc.composed(edm, [other], (scale, 1 - scale), data_std=std),
      cond, start * x, times)
  return smc.pick(key_pick, sampled)[:, 0]


def program(name: str) -> tuple[Callable[..., Array], tuple[Any, ...]]:
  """The function of scale and start that is measured, and its start."""
  if name == COMPOSED:
    rng = np.random.default_rng(2)
    return chain, (rng.standard_normal((CHAINS, PARTICLES, 1)),)
  return functools.partial(flow, name), (starts(STARTS),)


def measure(name: str) -> list[Found]:
  """What a guidance samples at each of SCALES."""
  run, args = program(name)
  if name == COMPOSED:
    return [_drawn(np.asarray(jax.jit(functools.partial(run, scale))(*args)))
            for scale in SCALES]
  compiled = jax.jit(run)
  return [_moved(np.asarray(compiled(scale, *args))) for scale in SCALES]


def _moved(x: np.ndarray) -> Found:
  """Over the entries [N, D], each of its own mean."""
  told = SIGNS * x
  return Found(float(told.mean()), float(np.mean(told.var(axis=0))))


def _drawn(x: np.ndarray) -> Found:
  """Of independent draws [N]."""
  away = np.square(x - x.mean())
  return Found(float(x.mean()), float(x.var(ddof=1)),
               float(x.std(ddof=1)) / len(x)**0.5,
               float(away.std(ddof=1)) / len(x)**0.5)
