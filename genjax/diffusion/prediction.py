"""What a network predicts, and how that becomes a denoiser.

A prediction is two functions; any two of them meet at x_0, so N predictions
cost 2 N functions and not N^2 converters.
"""

from typing import Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion.process import coefficients
from genjax.diffusion.process import rates
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Process
from genjax.types import PyTree


def whole(output: Array) -> tuple[Array, None]:
  """All of a network's output is its estimate of the target."""
  return output, None


class Prediction(NamedTuple):
  """The network's target as a function of the data, and its inverse.

  Both are linear in their array arguments; t is [] or [B]. Coefficients are
  float32 or wider, and so is what they multiply.
  """

  # (process, x0 [B, ...], eps [B, ...], t) -> target [B, ...]
  target: Callable[[Process, Array, Array, Array], Array]
  # (process, mean [B, ...], xt [B, ...], t) -> x0 [B, ...]
  to_x0: Callable[[Process, Array, Array, Array], Array]
  divides_by_alpha: bool = False  # not defined where alpha = 0
  # output -> (mean [B, ...], rest): the estimate of the target, and what else
  # the network says, as of its variance.
  split: Callable[[Array], tuple[Array, PyTree]] = whole


class ScaleInput(Protocol):
  """The factor on x_t: alpha and sigma, shaped to multiply it, to the same."""

  def __call__(self, alpha: Array, sigma: Array, data_std: float) -> Array:
    ...


class EmbedNoise(Protocol):
  """What a network is told as noise level, [B]; t is [B]."""

  def __call__(self, process: Process, t: Array, /) -> Array:
    ...


def _eps_to_x0(process, mean, xt, t):
  alpha, sigma = coefficients(process, t, xt.ndim)
  return (xt - sigma * mean) / alpha


def _score_target(process, x0, eps, t):
  _, sigma = coefficients(process, t, x0.ndim)
  return -eps / sigma


def _score_to_x0(process, mean, xt, t):
  alpha, sigma = coefficients(process, t, xt.ndim)
  return (xt + jnp.square(sigma) * mean) / alpha


def _v_target(process, x0, eps, t):
  alpha, sigma = coefficients(process, t, x0.ndim)
  return alpha * eps - sigma * x0


def _v_to_x0(process, mean, xt, t):
  alpha, sigma = coefficients(process, t, xt.ndim)
  # alpha^2 + sigma^2 is 1 on variance-preserving processes only.
  return (alpha * xt - sigma * mean) / (jnp.square(alpha) + jnp.square(sigma))


def _velocity_target(process, x0, eps, t):
  d_alpha, d_sigma = rates(process, t, x0.ndim)
  return d_alpha * x0 + d_sigma * eps


def _velocity_to_x0(process, mean, xt, t):
  alpha, sigma = coefficients(process, t, xt.ndim)
  d_alpha, d_sigma = rates(process, t, xt.ndim)
  # Infinite without noise on variance-preserving processes: x_t is alpha x_0.
  d_sigma = jnp.minimum(d_sigma, 1e18)
  return (d_sigma * xt - sigma * mean) / (d_sigma * alpha - sigma * d_alpha)


x0 = Prediction(lambda process, x0, eps, t: x0,
                lambda process, mean, xt, t: mean)
"""The clean data itself."""

eps = Prediction(lambda process, x0, eps, t: eps, _eps_to_x0, True)
"""The noise: Ho et al., arXiv:2006.11239, eq. 14."""

score = Prediction(_score_target, _score_to_x0, True)
"""The gradient of log p(x_t | x_0) in x_t: arXiv:2011.13456, eq. 7."""

v = Prediction(_v_target, _v_to_x0)
"""alpha eps - sigma x_0: Salimans & Ho, arXiv:2202.00512, appendix D."""

velocity = Prediction(_velocity_target, _velocity_to_x0)
"""d x_t / dt, of flow matching: Lipman et al., arXiv:2210.02747, eq. 23."""


def edm(data_std: float) -> Prediction:
  """The unit-variance target of Karras et al., arXiv:2206.00364, eq. 7.

  c_skip and c_out of their table 1 at noise level sigma / alpha, written so
  that alpha = 0 is no exception.

  Args:
    data_std: standard deviation of the data, their sigma_data.

  Raises:
    ValueError: data_std is not positive.
  """
  check_positive('prediction.edm', 'data_std', data_std)

  def skip_and_out(process, t, ndim):
    alpha, sigma = coefficients(process, t, ndim)
    variance = jnp.square(sigma) + jnp.square(alpha * data_std)
    return (alpha * data_std**2 / variance,
            sigma * data_std / jnp.sqrt(variance), alpha, sigma)

  def target(process, x0, eps, t):
    # (x0 - c_skip xt) / c_out, with xt put in and the x0 terms collected, so
    # that it is finite where sigma = 0 too.
    _, _, alpha, sigma = skip_and_out(process, t, x0.ndim)
    total = jnp.sqrt(jnp.square(sigma) + jnp.square(alpha * data_std))
    return (sigma / data_std * x0 - alpha * data_std * eps) / total

  def to_x0(process, mean, xt, t):
    skip, out, _, _ = skip_and_out(process, t, xt.ndim)
    return skip * xt + out * mean

  return Prediction(target, to_x0)


def raw_input(alpha: Array, sigma: Array, data_std: float) -> Array:
  """Input scale 1, for networks that were trained on x_t itself."""
  del sigma, data_std
  return jnp.ones_like(alpha)


def unit_variance(alpha: Array, sigma: Array, data_std: float) -> Array:
  """Input scale that gives x_t unit variance: arXiv:2206.00364, c_in."""
  return jax.lax.rsqrt(jnp.square(alpha * data_std) + jnp.square(sigma))


def clipped_log_snr(process: Process, t: Array) -> Array:
  """Noise embedding: the log-SNR, clipped to [-20, 20]."""
  return jnp.clip(process.log_snr(t), -20.0, 20.0)


def timestep(num_steps: int) -> EmbedNoise:
  """Noise embedding of DDPM's networks: the level's number, 0..num_steps-1.

  The nearest level's, in float32 or wider; times before the first are of it.
  """
  return lambda process, t: jnp.clip(
      jnp.round(widen(t) * num_steps) - 1, 0, num_steps - 1)


def check_defined(where: str, process: Process, prediction: Prediction) -> None:
  """Raises ValueError where `prediction` loses x_0 at the end of `process`."""
  check(
      not (prediction.divides_by_alpha and process.ends_in_noise),
      where, 'eps and score need alpha > 0 at t_max (take v, x0, velocity or '
      'edm, or a smaller t_max)', 'alpha = 0')
