"""Restoration: what a model says of examples of which little was measured.

Solvers that guide a denoiser (`dps`, `pigdm`) and that change a sampler
(`replacement`, `repaint`). None of them draws from the posterior p(x | y), but
for special data; `smc.twisted` does, as its particles become many.
"""

from typing import Callable

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion import fields
from genjax.diffusion import operators
from genjax.diffusion.operators import Measurement
from genjax.diffusion.process import transition
from genjax.diffusion.samplers.composed import every
from genjax.diffusion.samplers.solve import Sampler
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Process

# (E[x_0 | x_t] [B, ..., *event], t) -> log p(y | x_t), as it is taken to be.
Twist = Callable[[Array, Array], Array]


def variance_left(process: Process, t: Array, data_std: float) -> Array:
  """Variance of x_0 given x_t, in an entry of N(0, data_std^2 I)."""
  alpha, sigma = process.alpha(t), process.sigma(t)
  known = jnp.square(alpha * data_std)
  return jnp.square(data_std * sigma) / (known + jnp.square(sigma))


def make_twist(
    process: Process, measurement: Measurement, data_std: float
) -> Twist:
  """log p(y | x_t) as PiGDM takes it: x_0 is Gaussian about the denoised x.

  Exact for data from N(0, data_std^2 I); and for all data where sigma is 0.
  """

  def twist(x0: Array, t: Array) -> Array:
    return operators.log_likelihood(
        measurement, x0, variance_left(process, t, data_std))

  return twist


def dps(
    process: Process, denoiser: Denoiser, measurement: Measurement, *,
    scale: float = 1.0
) -> Denoiser:
  """Diffusion posterior sampling: guidance by log p(y | E[x_0 | x_t]).

  Chung et al., arXiv:2209.14687, eq. 11 and 16, with their step size one over
  the variance of the noise. It takes the denoised x for x_0 itself, so it says
  more than it knows: samples are too alike. Of little noise it needs many
  steps, as its pull is that of a spring of 1 / noise_std^2.

  Args:
    process: the noise process.
    denoiser: the model.
    measurement: of the B examples, its noise_std positive.
    scale: factor of the gradient.

  Raises:
    ValueError: noise_std is 0.
  """
  check_positive('dps', 'noise_std', measurement.noise_std)
  return _guided(process, denoiser,
                 lambda x0, t: operators.log_likelihood(measurement, x0), scale)


def pigdm(
    process: Process, denoiser: Denoiser, measurement: Measurement, *,
    data_std: float = 1.0, scale: float = 1.0
) -> Denoiser:
  """Pseudoinverse-guided diffusion: guidance by `make_twist`.

  Song, Vahdat, Mardani & Kautz, ICLR 2023, eq. 7, 8, with the variance that
  data of N(0, data_std^2 I) leave, for which it is exact.

  Args:
    process: the noise process.
    denoiser: the model.
    measurement: of the B examples.
    data_std: standard deviation of an entry of the data.
    scale: factor of the gradient.
  """
  return _guided(process, denoiser,
                 make_twist(process, measurement, data_std), scale)


def _guided(
    process: Process, denoiser: Denoiser, twist: Twist, scale: float
) -> Denoiser:
  """The denoiser whose score has the gradient of `twist` in x_t beside it.

  Where alpha is 0 it is that of `before_noise`.
  """

  def denoise(x: Array, t: Array) -> Array:
    seen = fields.before_noise(process, t)
    x0, slope, _ = along(denoiser, twist, x, seen)
    shift = fields.shift(process, slope, seen)
    return (x0 + scale * shift).astype(jnp.result_type(x, float))

  return denoise


def along(
    denoiser: Denoiser, twist: Twist, x: Array, t: Array
) -> tuple[Array, Array, Array]:
  """E[x_0 | x_t], the slope in x_t of the twist there, and the twist.

  By one evaluation of the denoiser and one derivative, backwards.

  Returns:
    [B, ...], [B, ...] and the shape of the twist, all in float32 or wider.
  """
  x0, back = jax.vjp(lambda x: widen(denoiser(x, t)), widen(x))
  value, there = jax.vjp(lambda x0: twist(x0, t), x0)
  return x0, back(there(jnp.ones_like(value))[0])[0], value


def replacement(
    process: Process, inner: Sampler, measurement: Measurement
) -> Sampler:
  """After each step, what was measured is replaced by itself with noise.

  Song et al., arXiv:2011.13456, appendix I.2, of any operator: A x_s becomes
  alpha_s y + sigma_s A z. The noise of the measurement is left out, and the
  rest is never told what was replaced before it: the parts do not fit each
  other as those of posterior samples do.

  Args:
    process: the noise process.
    inner: the method.
    measurement: of the B examples.
  """
  operator, y, _ = measurement

  def step(noise, carry, x, denoiser, span):
    carry, x = inner.step(every(noise, 2, 0), carry, x, denoiser, span)
    alpha, sigma = process.alpha(span.s), process.sigma(span.s)
    wanted = alpha * y + sigma * operator.apply(every(noise, 2, 1)())
    return carry, x + operators.pseudoinverse(
        operator, (wanted - operator.apply(x)).astype(x.dtype))

  return Sampler(inner.init, step, inner.needs_alpha)


def repaint(
    process: Process, inner: Sampler, measurement: Measurement, *,
    repeats: int = 10
) -> Sampler:
  """Replacement, each step made again and again from fresh noise.

  Lugmayr et al., arXiv:2201.09865, algorithm 1, with jumps of one step: so the
  parts come to fit each other, for `repeats` times the evaluations.

  Args:
    process: the noise process.
    inner: the method; what it remembers begins anew with each repeat.
    measurement: of the B examples.
    repeats: how often a step is made, 1 being `replacement`; the last, to no
      noise, once.

  Raises:
    ValueError: repeats is less than 1.
  """
  check(repeats >= 1, 'repaint', 'repeats must be 1 or more', repeats)
  once = replacement(process, inner, measurement)

  def step(noise, carry, x, denoiser, span):
    t, s = span.t, span.s
    scale, std = transition(process, s, t)
    last = process.sigma(s) == 0

    def again(i, x):
      own = every(noise, repeats, i)
      _, x = once.step(every(own, 2, 0), once.init(x), x, denoiser, span)
      more = (i < repeats - 1) & ~last
      return jnp.where(more, scale * x + std * every(own, 2, 1)(), x)

    rounds = jnp.where(last, 1, repeats)
    return carry, jax.lax.fori_loop(0, rounds, again, x)

  return Sampler(inner.init, step, inner.needs_alpha)
