"""Lower bounds of log p(x) of a diffusion model as a chain of latents.

-log p(x) is at most the sum of three terms (Kingma et al., arXiv:2107.00630,
eq. 11): KL of what is left of x at the most noise to the prior; the denoiser's
errors on the way; and how well x is told from x_t at the least noise.

Levels are drawn by their log-SNR, not by time: of two processes with the same
ends the bounds agree to rounding, whatever their schedules (ibid., sec. 5.1).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_order
from genjax.checks import check_positive
from genjax.diffusion import denoising
from genjax.diffusion.denoising import Levels
from genjax.distributions.base import mean_of
from genjax.distributions.base import MonteCarlo
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process


class Bound(NamedTuple):
  """A lower bound of log p(x), and the terms that it is less than 0 by.

  All nats [B]; standard errors are over the draws of noise.
  """

  log_prob: MonteCarlo  # -(prior + diffusion + reconstruction)
  prior: Array
  diffusion: MonteCarlo
  reconstruction: MonteCarlo


def discrete(
    key: Key, process: Process, denoiser: Denoiser, x: Array, times: Array, *,
    data_std: float = 1.0, num_times: int | None = None, num_samples: int = 8,
    num_levels: int | None = None, index: Array | None = None
) -> Bound:
  """The bound of DDPM's chain over the T steps of a grid.

  A step from t to s costs (SNR(s) - SNR(t)) / 2 E|x - E[x_0 | x_t]|^2: Ho et
  al., arXiv:2006.11239, eq. 5, in the form of arXiv:2107.00630, eq. 13, 14.

  Args:
    key: folded with each example's index.
    process: the noise process.
    denoiser: (x, t [B]) -> E[x_0 | x_t], given x_t in the dtype of x.
    x: data [B, ...].
    times: [T + 1] strictly decreasing, sigma positive at the last.
    data_std: that of the prior N(0, alpha^2 data_std^2 + sigma^2).
    num_times: how many steps, spread evenly, an estimate looks at; T of them,
      which is each once, where absent.
    num_samples: R, the number of estimates that are averaged.
    num_levels: K where x is on the levels 2 k / (K - 1) - 1 of [-1, 1], and the
      bound is of their mass; absent, it is of a density. See `reconstruction`.
    index: [B] of the examples; 0..B-1 where absent.

  Returns:
    The bound, float32, or float64 where x is. NaN where times are traced and
    do not decrease; its standard error is NaN of a single estimate.

  Raises:
    ValueError: times is not [T + 1], or known and not decreasing; a number that
      is not positive; index is not [B]; fewer than two levels.
  """
  times = _checked('bounds.discrete', times, x, data_std)
  snr = jnp.exp(process.log_snr(times)).astype(times.dtype)
  steps = times.shape[0] - 1

  def levels(u: Array) -> Levels:
    step = jnp.clip(jnp.floor(u * steps).astype(int), 0, steps - 1)
    return Levels(times[step], 0.5 * steps * (snr[step + 1] - snr[step]))

  found = denoising.integrate(
      key, process, denoiser, x, levels, data_std=data_std,
      num_times=num_times or steps, num_samples=num_samples, index=index)
  known = 0.5 * jnp.diff(snr) @ denoising.gaussian_error(
      widen(x), snr[:-1], data_std)
  return _bound(process, x, times, found, known, data_std, num_levels)


def continuous(
    key: Key, process: Process, denoiser: Denoiser, x: Array, times: Array, *,
    data_std: float = 1.0, num_times: int = 32, num_samples: int = 8,
    num_levels: int | None = None, index: Array | None = None
) -> Bound:
  """The bound in the limit of infinitely many steps: VDM's.

  Half the integral of E|x - E[x_0 | x_t]|^2 over SNR, arXiv:2107.00630, eq. 17,
  18, between the first and the last time, which are all that it depends on. Of
  levels the density is that which makes it even for data N(0, data_std^2).

  Args:
    key, process, denoiser, x: as of `discrete`.
    times: [T + 1], of which the first and the last are looked at; alpha may be
      0 at the first.
    data_std: as of `discrete`; the levels are chosen by it too.
    num_times: how many levels an estimate looks at.
    num_samples, num_levels, index: as of `discrete`.

  Returns, Raises:
    As of `discrete`.
  """
  times = _checked('bounds.continuous', times, x, data_std)
  log_snr = process.log_snr(times[jnp.array([0, -1])]).astype(times.dtype)
  shift = 2 * math.log(data_std)
  # log(1 + SNR data_std^2) is even in u.
  low, high = jax.nn.softplus(log_snr + shift)

  def levels(u: Array) -> Levels:
    level = low + (high - low) * u
    level = level + jnp.log(-jnp.expm1(-level)) - shift
    t = jnp.clip(process.time(level), times[-1], times[0]).astype(u.dtype)
    weight = 0.5 * (high - low) * (data_std**-2 + jnp.exp(level))
    return Levels(t, weight)

  found = denoising.integrate(
      key, process, denoiser, x, levels, data_std=data_std,
      num_times=num_times, num_samples=num_samples, index=index)
  known = denoising.gaussian_integral(widen(x), log_snr[0], log_snr[1],
                                      data_std)
  return _bound(process, x, times, found, known, data_std, num_levels)


def prior(process: Process, x: Array, t: Array, data_std: float) -> Array:
  """KL( N(alpha x, sigma^2) || N(0, alpha^2 data_std^2 + sigma^2) ), nats [B].

  Of what is left of x [B, ...] at t [] to the density that is sampled from.
  """
  x = widen(x)
  ratio = jnp.exp(process.log_snr(t)).astype(x.dtype)  # 0 where alpha is 0
  snr = ratio * data_std**2
  return 0.5 * jnp.sum(jnp.log1p(snr) + (jnp.square(x) * ratio - snr)
                       / (1 + snr), axis=tuple(range(1, x.ndim)))


def reconstruction(
    process: Process, x: Array, t: Array, keys: Key | None = None, *,
    num_levels: int | None = None
) -> Array:
  """-E log p(x | x_t) of x [B, ...] at the time t [] of least noise, nats.

  Of a density p(x | x_t) is N(x_t / alpha, sigma^2 / alpha^2), the posterior
  under a flat prior, and its mean has a closed form, [B]. Of K levels it is
  proportional to p(x_t | level), value by value: arXiv:2107.00630, eq. 30; then
  [R, B] of one draw by each of `keys` [R, B].

  Raises:
    ValueError: fewer than two levels; levels without keys.
  """
  where, x = 'bounds.reconstruction', widen(x)
  log_snr = process.log_snr(t).astype(x.dtype)
  axes = tuple(range(1, x.ndim))
  if num_levels is None:
    nats = 0.5 * (math.log(2 * math.pi) + 1 - log_snr)
    return jnp.full(x.shape[0], math.prod(x.shape[1:]) * nats)
  check(num_levels >= 2, where, 'num_levels must be 2 or more', num_levels)
  if keys is None:
    raise ValueError(f'{where}: keys must be given for levels, got None')
  at = jnp.linspace(-1, 1, num_levels, dtype=x.dtype)
  nearest = jnp.round((x + 1) * ((num_levels - 1) / 2)).astype(int)

  def of_draw(keys: Key) -> Array:
    noisy = x + jnp.exp(-0.5 * log_snr) * normal_each(keys, x.shape[1:],
                                                      x.dtype)
    logits = -0.5 * jnp.exp(log_snr) * jnp.square(noisy[..., None] - at)
    nats = jnp.take_along_axis(jax.nn.log_softmax(logits), nearest[..., None],
                               axis=-1)[..., 0]
    return -jnp.sum(nats, axis=axes)

  return jax.lax.map(of_draw, keys)


def _checked(where: str, times: Array, x: Array, data_std: float) -> Array:
  """times in the dtype of the bound."""
  times = jnp.asarray(times)
  check(times.ndim == 1 and times.shape[0] >= 2, where,
        'times must be [T + 1] with T >= 1', f'shape {times.shape}')
  check_positive(where, 'data_std', data_std)
  times = check_order(where, 'times', widen(times), falling=True)
  return times.astype(widen(x).dtype)


def _bound(
    process: Process, x: Array, times: Array, found: denoising.Integral,
    known: Array, data_std: float, num_levels: int | None
) -> Bound:
  """The sum of the terms, of which each estimate has its own."""
  first = prior(process, x, times[0], data_std)
  errors = known + found.values
  last = jnp.broadcast_to(reconstruction(
      process, x, times[-1], found.keys, num_levels=num_levels), errors.shape)
  return Bound(mean_of(-(first + errors + last)), first, mean_of(errors),
               mean_of(last))
