"""Probability-flow maps of known data: closed forms, or to a tolerance.

The flow of x_t = alpha x_0 + sigma eps knows neither time nor schedule, but
where it begins and ends: a level is a pair (alpha, sigma), each [] or [B].
"""

import math
from typing import Callable, Protocol

import jax
import jax.numpy as jnp

from genjax.diffusion.times import invert
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import FlowMap
from genjax.types import Process

Level = tuple[Array, Array]

_MAX_STEPS = 4096  # of the numerical flow
_LARGEST = 80.0  # logarithm of a mass, in units of that at x_t


class LevelMap(Protocol):
  """x [B, ...] of one level to that of another along the probability flow."""

  def __call__(self, x: Array, here: Level, there: Level) -> Array:
    ...


def in_time(process: Process, move: LevelMap) -> FlowMap:
  """(x_t [B, ...], t, s) -> x_s, the times [] or [B]."""

  def flow(x: Array, t: Array, s: Array) -> Array:
    x = widen(x)
    here, there = ((process.alpha(time), process.sigma(time))
                   for time in (t, s))
    return move(x, here, there)

  return flow


def gaussian(mean: Array, variances: Array, basis: Array) -> LevelMap:
  """The flow of N(mean [D], basis diag(variances [D]) basis^T).

  Along each eigenvector, a column of basis [D, D], the deviation from the mean
  scales with the standard deviation of the marginal.
  """

  def move(x: Array, here: Level, there: Level) -> Array:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        tuple(broadcast_right(a, 2) for a in level) for level in (here, there))
    var_t = jnp.square(alpha_t) * variances + jnp.square(sigma_t)
    var_s = jnp.square(alpha_s) * variances + jnp.square(sigma_s)
    deviation = (x - alpha_t * mean) @ basis * jnp.sqrt(var_s / var_t)
    return alpha_s * mean + deviation @ basis.T

  return move


def on_the_line(
    log_weights: Array, means: Array, variances: Array
) -> LevelMap:
  """The flow [B, 1] of a mixture of K Gaussians on the line, to a rounding.

  It keeps the cdf: x_s is where the marginal at s has the value that the
  marginal at t has at x_t. That is found by bisection, and one step of Newton's
  method, which gives it derivatives. Of components below x_t the right tails
  are compared, of those above it the left ones, in units of the largest: so
  digits are kept far out and where almost nothing is between two components.

  Args:
    log_weights: [K], normalised.
    means: [K].
    variances: [K]; where one is 0, neither level may be of sigma = 0.
  """

  def standardised(x, level):
    alpha, sigma = (jnp.asarray(a)[..., None] for a in level)
    std = jnp.sqrt(jnp.square(alpha) * variances + jnp.square(sigma))
    return (x[:, None] - alpha * means) / std, alpha * means, std

  def move(x: Array, here: Level, there: Level) -> Array:
    x = x[:, 0]
    z = standardised(x, here)[0]
    side = jnp.where(z > 0, 1.0, -1.0)

    def log_tails(z):
      return log_weights + jax.scipy.special.log_ndtr(-side * z)

    unit = jax.lax.stop_gradient(jnp.max(log_tails(z), axis=1, keepdims=True))

    def mass(z):  # below x, but for a constant; rises
      return -jnp.sum(side * jnp.exp(jnp.minimum(
          log_tails(z) - unit, _LARGEST)), axis=1)

    target = mass(z)
    # A quantile of a mixture lies between those of its components.
    centre, std = standardised(x, there)[1:]
    low = jax.lax.stop_gradient(jnp.min(
        centre + std * jnp.min(z, axis=1, keepdims=True), axis=1))
    width = jax.lax.stop_gradient(jnp.max(
        centre + std * jnp.max(z, axis=1, keepdims=True), axis=1)) - low

    def off(y):
      return mass(standardised(y, there)[0]) - target

    y = low + width * invert(
        lambda share: off(low + width * share), jnp.zeros_like(x), 0.0, 1.0)
    slope = jax.lax.stop_gradient(
        jax.jvp(off, (y,), (jnp.ones_like(y),))[1])
    near = slope > math.sqrt(jnp.finfo(y.dtype).tiny)
    y = y - jnp.where(near, off(y) / jnp.where(near, slope, 1.0), 0.0)
    return y[:, None]

  return move


def numerical(
    moments: Callable[[Array, Array, Array], tuple[Array, Array]]
) -> LevelMap:
  """The flow by Tsitouras's method of order 5(4), by diffrax.

  With (alpha, sigma) = r (cos u, sin u) and y = x / r, dy/du = cos u E[eps | x]
  - sin u E[x_0 | x]: smooth in u where data have a density, at alpha = 0 and
  sigma = 0 too. Every example has steps of its own. Their local errors are kept
  to 1e-10 (absolute and relative, in units of y; 1e-6 in float32). NaN where
  that takes more than 4096 steps.

  Args:
    moments: (x [1, ...], alpha [], sigma []) -> E[x_0 | x] and E[eps | x].
  """

  def move(x: Array, here: Level, there: Level) -> Array:
    import diffrax  # heavy, and of use here alone

    tolerance = 1e-10 if x.dtype == jnp.float64 else 1e-6

    def slope(u, y, _):
      x0, eps = moments(y[None], jnp.cos(u), jnp.sin(u))
      return (jnp.cos(u) * eps - jnp.sin(u) * x0)[0]

    def one(y, start, end):
      solved = diffrax.diffeqsolve(
          diffrax.ODETerm(slope), diffrax.Tsit5(), start, end, None, y,
          stepsize_controller=diffrax.PIDController(
              rtol=tolerance, atol=tolerance),
          max_steps=_MAX_STEPS, throw=False)
      right = solved.result == diffrax.RESULTS.successful
      return jnp.where(right, solved.ys[0], jnp.nan)

    (radius_t, angle_t), (radius_s, angle_s) = (
        tuple(jnp.broadcast_to(f(*level), x.shape[:1]).astype(x.dtype)
              for f in (jnp.hypot, lambda a, s: jnp.arctan2(s, a)))
        for level in (here, there))
    y = jax.vmap(one)(x / broadcast_right(radius_t, x.ndim), angle_t, angle_s)
    return broadcast_right(radius_s, x.ndim) * y

  return move
