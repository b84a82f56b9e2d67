"""Samplers made of samplers: they go back and forth within a step."""

import math

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion import fields
from genjax.diffusion.process import transition
from genjax.diffusion.samplers.one_step import ancestral
from genjax.diffusion.samplers.one_step import heun
from genjax.diffusion.samplers.solve import Noise
from genjax.diffusion.samplers.solve import Sampler
from genjax.diffusion.samplers.solve import Span
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process


def predictor_corrector(
    process: Process, predictor: Sampler | None = None, *, num_steps: int = 1,
    snr: float = 0.16
) -> Sampler:
  """Steps of Langevin dynamics after every step of a predictor.

  Song et al., arXiv:2011.13456, algorithm 2-5: x + h score + sqrt(2 h) z, with
  h = 2 (snr sigma)^2. That is their h, 2 (snr |z| / |score|)^2, with the mean
  squared norms under the noise alone for those of the draw, so that a sample
  does not depend on the batch that it is drawn in. No step at sigma = 0.

  Args:
    process: the noise process.
    predictor: `ancestral` where absent.
    num_steps: of the corrector; each is an evaluation of the denoiser.
    snr: their signal-to-noise ratio r, of score to noise.

  Raises:
    ValueError: a number that is not positive.
  """
  check(num_steps >= 1, 'predictor_corrector', 'num_steps must be 1 or more',
        num_steps)
  check_positive('predictor_corrector', 'snr', snr)
  first = ancestral(process) if predictor is None else predictor

  def step(noise, carry, x, denoiser, span):
    s = span.s
    carry, x = first.step(every(noise, 2, 0), carry, x, denoiser, span)
    own, length = every(noise, 2, 1), 2 * jnp.square(snr * process.sigma(s))

    def correct(i, x):
      slope = fields.score(process, denoiser, x, s)
      return x + length * slope + jnp.sqrt(2 * length) * own(i)

    return carry, jax.lax.cond(
        process.sigma(s) > 0,
        lambda x: jax.lax.fori_loop(0, num_steps, correct, x), lambda x: x, x)

  return Sampler(first.init, step, first.needs_alpha)


def restart(
    process: Process, inner: Sampler | None = None, *, low: float = 0.05,
    high: float = 0.3, num_steps: int = 3, repeats: int = 2
) -> Sampler:
  """Restart: noise is added again, and taken away, within one interval.

  Xu et al., arXiv:2306.14878, algorithm 1. After the step that brings the noise
  to `low` or below it is raised to `high` and solved back to the same time, by
  steps even in (sigma / alpha)^(1 / 7): the error of the steps before shrinks
  with every repeat, as noise forgets it.

  Args:
    process: the noise process.
    inner: `heun` where absent; it begins anew with each repeat.
    low: sigma / alpha below which a restart is made, once on a grid that
      crosses it, by a step that does not end at sigma = 0.
    high: sigma / alpha to which noise is raised.
    num_steps: from there back.
    repeats: how often.

  Raises:
    ValueError: numbers that are not positive, or low not below high.
  """
  check(0 < low < high, 'restart', '0 < low < high', (low, high))
  check(num_steps >= 1, 'restart', 'num_steps must be 1 or more', num_steps)
  check(repeats >= 1, 'restart', 'repeats must be 1 or more', repeats)
  solver = heun(process) if inner is None else inner
  log_snr_low = -2 * math.log(low)
  draws = repeats * (num_steps + 1)

  def again(noise: Noise, x: Array, denoiser: Denoiser, s: Array) -> Array:
    root = jnp.exp(-0.5 * process.log_snr(s))**(1 / 7)
    share = jnp.arange(num_steps, dtype=s.dtype) / num_steps
    ratio = (high**(1 / 7) * (1 - share) + root * share)**7
    times = jnp.append(jnp.minimum(
        process.time(-2 * jnp.log(ratio)), process.t_max), s)
    scale, std = transition(process, s, times[0])

    def once(i, x):
      first = i * (num_steps + 1)

      def body(state, j):
        carry, x = state
        return solver.step(
            every(noise, draws, first + 1 + j), carry, x, denoiser,
            Span(times[j], times[j + 1], j, num_steps)), None

      x = scale * x + std * noise(first)
      (_, x), _ = jax.lax.scan(body, (solver.init(x), x),
                               jnp.arange(num_steps))
      return x

    return jax.lax.fori_loop(0, repeats, once, x)

  def step(noise, carry, x, denoiser, span):
    t, s = span.t, span.s
    carry, x = solver.step(every(noise, 2, 0), carry, x, denoiser, span)
    crossed = (process.log_snr(t) < log_snr_low) & (
        process.log_snr(s) >= log_snr_low) & (process.sigma(s) > 0)
    own = every(noise, 2, 1)
    return carry, jax.lax.cond(
        crossed, lambda x: again(own, x, denoiser, s), lambda x: x, x)

  return Sampler(solver.init, step, solver.needs_alpha)


def every(noise: Noise, stride: int, first: int | Array) -> Noise:
  """Those of `noise` whose numbers are `first` more than a multiple.

  So one noise serves `stride` parts of a method, which never share a draw.
  """
  return lambda number=0, shape=None: noise(stride * number + first, shape)
