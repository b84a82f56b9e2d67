"""Guidance by name, as models draw with it."""

from typing import NamedTuple

import jax

from genjax.checks import check
from genjax.checks import check_choice
from genjax.diffusion import guidance
from genjax.diffusion.samplers.solve import Sampler
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process

# Name -> what it is, in words that end a sentence.
METHODS = {
    'classifier_free': 'along what the condition changes (arXiv:2207.12598)',
    'rescaled': 'the same, at the standard deviation of the unguided one '
                '(arXiv:2305.08891)',
    'projected': 'the same, but not along the image itself (APG, '
                 'arXiv:2410.02416)',
    'zero_star': 'of velocities, from the best multiple of the unconditional '
                 'one, the first steps still (CFG-zero*, arXiv:2503.18886)',
}


class Guidance(NamedTuple):
  """How a condition is followed, within an interval of the log-SNR."""

  scale: float  # 1 is none
  log_snr_low: float
  log_snr_high: float
  method: str = 'classifier_free'  # one of METHODS
  eta: float = 0.0  # of `projected`: factor of the part along the image
  limit: float | None = None  # of `projected`: largest norm of a difference
  momentum: float = 0.0  # of `projected`: from step to step, below 0 against
  share: float = 0.7  # of `rescaled`
  still: int = 1  # of `zero_star`: first steps that are not made


def check_guidance(where: str, guided: Guidance) -> None:
  """Raises ValueError for a method that is none, and an empty interval."""
  check_choice(where, 'guidance_method', guided.method, METHODS)
  check(guided.log_snr_low < guided.log_snr_high, where,
        'must be two numbers that rise',
        (guided.log_snr_low, guided.log_snr_high))


def is_none(guided: Guidance) -> bool:
  """Whether it changes nothing."""
  return guided.scale == 1 and not (
      guided.method == 'zero_star' and guided.still)


def guide(
    guided: Guidance, process: Process, sampler: Sampler, cond: Denoiser,
    uncond: Denoiser, scale: float | Array, times: Array
) -> tuple[Sampler, Denoiser]:
  """What draws under guidance, and what from.

  Args:
    guided: the method and its options, but for its scale.
    process: the noise process.
    sampler: that draws without guidance.
    cond: denoiser given the condition.
    uncond: denoiser given none.
    scale: may be traced.
    times: [T + 1] of the grid.
  """

  def within(denoiser: Denoiser) -> Denoiser:
    return guidance.limited_interval(
        process, denoiser, cond, log_snr_low=guided.log_snr_low,
        log_snr_high=guided.log_snr_high)

  def projected(push: float | Array) -> Denoiser:
    return within(guidance.projected(
        cond, uncond, scale, eta=guided.eta, push=push,
        limit=float('inf') if guided.limit is None else guided.limit))

  if guided.method == 'projected':
    if not guided.momentum:
      return sampler, projected(0.0)
    return guidance.momentum(sampler, cond, uncond, projected,
                             guided.momentum), cond
  if guided.method == 'zero_star':
    inside = within(guidance.zero_star(process, cond, uncond, scale))
    if not guided.still:
      return sampler, inside
    # Of the first steps, wherever guidance is.
    moving = times[min(guided.still, times.shape[0] - 1)]
    still = guidance.zero_star(process, cond, uncond, scale, still_above=moving)
    return sampler, lambda x, t: jax.lax.cond(t > moving, still, inside, x, t)
  free = guidance.classifier_free(cond, uncond, scale)
  return sampler, within(
      guidance.rescaled(free, cond, guided.share)
      if guided.method == 'rescaled' else free)
