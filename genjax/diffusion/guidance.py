"""Guidance, mixing and clipping: functions from denoisers to a denoiser.

None of them samples the law p(x | c)^w p(x)^(1 - w) / Z that guidance is often
said to sample: what they sample of Gaussian data is `exact_guided`'s to say,
and `smc.composed` corrects for it.
"""

from typing import Any, Callable

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.diffusion import fields
from genjax.diffusion.model import MakeDenoiser
from genjax.diffusion.process import coefficients
from genjax.diffusion.process import flow_velocity
from genjax.diffusion.process import rates
from genjax.diffusion.samplers.solve import Sampler
from genjax.numerics import broadcast_right
from genjax.numerics import safe_norm
from genjax.numerics import standard_deviation
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
    return (without + _factor(scale, without) * (cond(x, t) - without)).astype(
        _dtype_of(x))

  return denoise


def autoguidance(
    denoiser: Denoiser, weaker: Denoiser, scale: float | Array
) -> Denoiser:
  """Guidance by a weaker model: weaker + scale (denoiser - weaker).

  Karras et al., arXiv:2406.02507, eq. 2: the weaker one is smaller or trained
  for less, and told the same condition. Scale 1 is `denoiser` itself.

  Args:
    denoiser: the model.
    weaker: a model of the same data, worse in the same way.
    scale: a number or [B], one a sample.
  """
  return classifier_free(denoiser, weaker, scale)


def classifier(
    process: Process, denoiser: Denoiser,
    log_prob: Callable[[Array, Array], Array], scale: float | Array
) -> Denoiser:
  """Guidance by a classifier of noisy inputs.

  Dhariwal & Nichol, arXiv:2105.05233, algorithm 1: scale times the gradient of
  log p(c | x_t) is added to the score. Scale 0 is `denoiser` itself; with an
  exact classifier, scale 1 on an unconditional model is the conditional one.

  Args:
    process: the noise process.
    denoiser: the model.
    log_prob: (x [B, ...], t) -> log p(c | x_t) [B], nats.
    scale: a number or [B], one a sample.

  Returns:
    The guided denoiser. Where alpha is 0 the slope is that of `before_noise`.
  """

  def denoise(x: Array, t: Array) -> Array:
    seen = fields.before_noise(process, t)
    slope = jax.grad(lambda x: jnp.sum(log_prob(x, seen)))(widen(x))
    shift = fields.shift(process, slope, seen)
    return (widen(denoiser(x, t)) + _factor(scale, shift) * shift).astype(
        _dtype_of(x))

  return denoise


def rescaled(
    guided: Denoiser, cond: Denoiser, share: float = 0.7
) -> Denoiser:
  """`guided` brought to the standard deviation of `cond`, in part.

  Lin et al., arXiv:2305.08891, eq. 15, 16, of x_0: that of the entries of each
  sample, which large scales of guidance raise until pixels saturate.

  Args:
    guided: the guided denoiser.
    cond: the conditional one.
    share: 1 takes the standard deviation of `cond`, 0 leaves `guided` be.

  Raises:
    ValueError: share is outside [0, 1].
  """
  check_in_range('rescaled', 'share', share, 0.0, 1.0)

  def denoise(x: Array, t: Array) -> Array:
    x0 = widen(guided(x, t))
    is_std, was_std = (
        standard_deviation(y.reshape(y.shape[0], -1).T)
        for y in (x0, widen(cond(x, t))))
    ratio = jnp.where(is_std > 0, was_std / jnp.where(is_std > 0, is_std, 1), 1)
    return (x0 * broadcast_right(share * ratio + 1 - share, x.ndim)).astype(
        _dtype_of(x))

  return denoise


def projected(
    cond: Denoiser, uncond: Denoiser, scale: float | Array, *,
    eta: float = 0.0, limit: float = float('inf'),
    push: float | Array = 0.0
) -> Denoiser:
  """Adaptive projected guidance: cond + (scale - 1) of what is not along cond.

  Sadat et al., arXiv:2410.02416, algorithm 1, of x_0. The difference cond -
  uncond, of norm `limit` at most, is split into the part along cond, which
  saturates, and the rest. With eta 1 and nothing else it is `classifier_free`.

  Args:
    cond: denoiser given the labels.
    uncond: denoiser given no labels.
    scale: a number or [B], one a sample; 1 is `cond`.
    eta: factor of the part along cond.
    limit: r, the largest norm of the difference of a sample.
    push: [B, ...] added to the difference, of `momentum`.

  Raises:
    ValueError: limit is not positive.
  """
  check_positive('projected', 'limit', limit)

  def denoise(x: Array, t: Array) -> Array:
    told, without = widen(cond(x, t)), widen(uncond(x, t))
    axes = tuple(range(1, x.ndim))
    difference = told - without + push
    norm = safe_norm(difference, axes)
    difference *= broadcast_right(
        jnp.where(norm > limit, limit / jnp.where(norm > 0, norm, 1), 1.0),
        x.ndim)
    length = broadcast_right(safe_norm(told, axes), x.ndim)
    along = told / jnp.where(length > 0, length, 1.0)
    along *= jnp.sum(along * difference, axes, keepdims=True)
    kept = difference - (1 - eta) * along
    return (told + (_factor(scale, told) - 1) * kept).astype(_dtype_of(x))

  return denoise


def momentum(
    inner: Sampler, cond: Denoiser, uncond: Denoiser,
    guided: Callable[[Array], Denoiser], factor: float = -0.5
) -> Sampler:
  """A sampler whose guidance remembers its differences over the steps.

  Sadat et al., arXiv:2410.02416, eq. 8: in place of cond - uncond stands that
  plus factor times what stood there in the step before. A negative factor lets
  each step undo some of the last.

  Args:
    inner: the method, which draws under `guided` and not under the denoiser
      that it is given.
    cond: denoiser given the labels.
    uncond: denoiser given no labels.
    guided: push [B, ...] -> the guided denoiser, as `projected`'s.
    factor: beta.
  """

  def step(noise, carry, x, denoiser, span):
    del denoiser
    remembered, before = carry
    push = factor * before
    now = (widen(cond(x, span.t)) - widen(uncond(x, span.t))).astype(x.dtype)
    remembered, x = inner.step(noise, remembered, x, guided(push), span)
    return (remembered, now + push), x

  return Sampler(lambda x: (inner.init(x), jnp.zeros_like(x)), step,
                 inner.needs_alpha)


def zero_star(
    process: Process, cond: Denoiser, uncond: Denoiser, scale: float | Array,
    *, still_above: Array | None = None
) -> Denoiser:
  """CFG-zero*: guidance of velocities, from the best multiple of uncond.

  Fan et al., arXiv:2503.18886, algorithm 1: s v_u + scale (v_c - s v_u), s =
  <v_c, v_u> / |v_u|^2 of each sample, v the velocities of the probability flow.

  Args:
    process: the noise process.
    cond: denoiser given the labels.
    uncond: denoiser given no labels.
    scale: a number or [B], one a sample; 1 is `cond`, where nothing is still.
    still_above: [], time above which the velocity is 0, as the first steps of a
      model that is not yet well trained are better not made; None is never.
  """

  def denoise(x: Array, t: Array) -> Array:
    wide = widen(x)
    told, without = (flow_velocity(process, widen(f(x, t)), wide, t)
                     for f in (cond, uncond))
    axes = tuple(range(1, x.ndim))
    square = jnp.sum(jnp.square(without), axes, keepdims=True)
    without *= jnp.sum(told * without, axes, keepdims=True) / jnp.where(
        square > 0, square, 1.0)
    velocity = without + _factor(scale, told) * (told - without)
    if still_above is not None:
      velocity = jnp.where(broadcast_right(t > still_above, x.ndim), 0.0,
                           velocity)
    # flow_velocity is affine in x_0; this is where it is `velocity`.
    alpha, sigma = coefficients(process, t, x.ndim)
    d_alpha, d_sigma = rates(process, t, x.ndim)
    x0 = (sigma * velocity - d_sigma * wide) / (
        sigma * d_alpha - alpha * d_sigma)
    return x0.astype(_dtype_of(x))

  return denoise


def _factor(scale: float | Array, x: Array) -> Array:
  """A scale, a number or [B], in the dtype of x and shaped to multiply it."""
  return broadcast_right(widen(scale).astype(x.dtype),
                         x.ndim if jnp.ndim(scale) else 0)


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
