"""Guidance and clipping: functions from denoisers to a denoiser."""

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.diffusion.process import Process
from genjax.numerics import broadcast_right
from genjax.types import Array
from genjax.types import Denoiser


def classifier_free(
    cond: Denoiser, uncond: Denoiser, scale: float | Array
) -> Denoiser:
  """Classifier-free guidance: uncond + scale (cond - uncond).

  Ho & Salimans, arXiv:2207.12598, eq. 6, with scale = 1 + w: scale 1 is the
  conditional model, 0 the unconditional one. Linear in x_0, hence the same in
  eps, score and v.

  Args:
    cond: denoiser given the labels.
    uncond: denoiser given no labels.
    scale: a number or [B], one a sample.
  """

  def denoise(x: Array, t: Array) -> Array:
    without = uncond(x, t)
    s = broadcast_right(jnp.asarray(scale, x.dtype), x.ndim) if jnp.ndim(
        scale) else scale
    return without + s * (cond(x, t) - without)

  return denoise


def limited_interval(
    process: Process, guided: Denoiser, cond: Denoiser, *,
    log_snr_low: float, log_snr_high: float
) -> Denoiser:
  """`guided` where the log-SNR is in [low, high], `cond` elsewhere.

  Kynkaanniemi et al., arXiv:2404.07724: guidance at high noise costs
  diversity, at low noise it does nothing. For scalar t only one of the two is
  evaluated.

  Raises:
    ValueError: an empty interval; times of rank 1 when it is called.
  """
  check(log_snr_low < log_snr_high, 'limited_interval',
        'log_snr_low must be below log_snr_high', (log_snr_low, log_snr_high))

  def denoise(x: Array, t: Array) -> Array:
    check(jnp.ndim(t) == 0, 'limited_interval', 't must be a scalar',
          f'shape {jnp.shape(t)}')
    log_snr = process.log_snr(t)
    inside = (log_snr >= log_snr_low) & (log_snr <= log_snr_high)
    return jax.lax.cond(inside, guided, cond, x, t)

  return denoise


def clip(denoiser: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
  """Clips E[x_0 | x_t] to the range of the data, [-1, 1] for images."""
  return lambda x, t: jnp.clip(denoiser(x, t), low, high)
