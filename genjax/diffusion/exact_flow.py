"""Probability-flow maps of known data: closed forms, or to a tolerance.

The flow of x_t = alpha x_0 + sigma eps knows neither time nor schedule, but
where it begins and ends: a level is a pair (alpha, sigma), each [] or [B].
"""

import math
from typing import Callable, Protocol

import jax
import jax.numpy as jnp

from genjax.diffusion import adaptive
from genjax.diffusion.times import invert
from genjax.numerics import broadcast_right
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import FlowMap
from genjax.types import Process

Level = tuple[Array, Array]

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
  """The flow by `adaptive.solve`, whose steps err by 1e-10, 1e-6 in float32.

  With (alpha, sigma) = r (cos u, sin u) and y = x / r, dy/du = cos u E[eps | x]
  - sin u E[x_0 | x]: smooth in u where data have a density, at alpha = 0 and
  sigma = 0 too. Errors are absolute and relative, in units of y. NaN where that
  takes more steps than there may be.

  Args:
    moments: (x [B, ...], alpha [B], sigma [B]) -> E[x_0 | x] and E[eps | x].
  """

  def move(x: Array, here: Level, there: Level) -> Array:
    (radius_t, start), (radius_s, end) = (
        tuple(jnp.broadcast_to(f(*level), x.shape[:1]).astype(x.dtype)
              for f in (jnp.hypot, lambda a, s: jnp.arctan2(s, a)))
        for level in (here, there))

    def slope(y: Array, share: Array) -> Array:
      u = start + share * (end - start)
      alpha, sigma = jnp.cos(u), jnp.sin(u)
      x0, eps = moments(y.reshape(x.shape), alpha, sigma)
      rate, alpha, sigma = (broadcast_right(a, x.ndim)
                            for a in (end - start, alpha, sigma))
      return (rate * (alpha * eps - sigma * x0)).reshape(y.shape)

    y = (x / broadcast_right(radius_t, x.ndim)).reshape(x.shape[0], -1)
    y = adaptive.solve(slope, y, jnp.zeros(()), jnp.ones(()), tolerance=(
        1e-10 if x.dtype == jnp.float64 else 1e-6))
    return broadcast_right(radius_s, x.ndim) * y.reshape(x.shape)

  return move
