"""Guidance, mixing and clipping: functions from denoisers to a denoiser."""

from typing import Any

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.diffusion.model import MakeDenoiser
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Params
from genjax.types import Process


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

  Returns:
    The guided denoiser: it takes the difference in float32 or wider, whatever
    the dtypes of x and scale, and gives the dtype of x.
  """

  def denoise(x: Array, t: Array) -> Array:
    without = widen(uncond(x, t))
    s = broadcast_right(widen(scale).astype(without.dtype),
                        x.ndim if jnp.ndim(scale) else 0)
    return (without + s * (cond(x, t) - without)).astype(_dtype_of(x))

  return denoise


def mixing(make: MakeDenoiser) -> MakeDenoiser:
  """`make` that takes shares of classes for a label too, float [B, K].

  Under shares the denoisers of the two classes of largest share are mixed by
  their shares, of which the sum is taken to be 1.
  """

  def denoiser(params: Params, cond: Cond | None = None) -> Denoiser:
    label = (cond or {}).get('label')
    if label is None or jnp.issubdtype(jnp.result_type(label), jnp.integer):
      return make(params, cond)
    shares, classes = jax.lax.top_k(label, min(2, label.shape[-1]))
    largest, next_largest = (
        make(params, {**(cond or {}), 'label': classes[:, i]}) for i in (0, -1))
    return classifier_free(
        largest, next_largest, shares[:, 0] / jnp.sum(shares, axis=1))

  return denoiser


def limited_interval(
    process: Process, guided: Denoiser, cond: Denoiser, *,
    log_snr_low: float, log_snr_high: float
) -> Denoiser:
  """`guided` where the log-SNR is in [low, high], `cond` elsewhere.

  Kynkaanniemi et al., arXiv:2404.07724: guidance at high noise costs
  diversity, at low noise it does nothing. For t [] only one of the two is
  evaluated, for t [B] both. Gives the dtype of x.

  Raises:
    ValueError: an empty interval.
  """
  check(log_snr_low < log_snr_high, 'limited_interval',
        'log_snr_low must be below log_snr_high', (log_snr_low, log_snr_high))

  def denoise(x: Array, t: Array) -> Array:
    log_snr = process.log_snr(t)
    inside = (log_snr >= log_snr_low) & (log_snr <= log_snr_high)
    branches = [lambda x, t, f=f: f(x, t).astype(_dtype_of(x))
                for f in (guided, cond)]
    if jnp.ndim(t) == 0:
      return jax.lax.cond(inside, *branches, x, t)
    within, without = (branch(x, t) for branch in branches)
    return jnp.where(broadcast_right(inside, x.ndim), within, without)

  return denoise


def _dtype_of(x: Array) -> Any:  # float32 of whole numbers
  return jnp.result_type(x, float)


def clip(denoiser: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
  """Clips E[x_0 | x_t] to the range of the data, [-1, 1] for images.

  Raises:
    ValueError: low is not below high.
  """
  check(low < high, 'clip', 'low must be below high', (low, high))
  return lambda x, t: jnp.clip(denoiser(x, t), low, high)
