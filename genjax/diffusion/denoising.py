"""Errors of a denoiser, integrated over noise levels: what likelihoods are of.

By the I-MMSE relation a log-density is an integral over the signal-to-noise
ratio of |x - E[x_0 | x_t]|^2 in the mean over noise. `bounds` and `immse` are
of it, at other levels and with other ends.

It is estimated by its difference from that of data N(0, data_std^2) at the same
noise, whose integral is a closed form: where there is little noise the error is
that of x_t / alpha whatever the data, and the noise of the estimate nearly
cancels.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check_index
from genjax.checks import check_positive
from genjax.diffusion.process import coefficients
from genjax.diffusion.process import perturb
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process


class Levels(NamedTuple):
  """A noise level an example, and its share in an integral; both [B]."""

  t: Array
  weight: Array


class Integral(NamedTuple):
  """Independent estimates [R, B] of an integral, and their keys [R, B]."""

  values: Array
  keys: Key  # one an estimate, of which nothing is drawn yet


def integrate(
    key: Key, process: Process, denoiser: Denoiser, x: Array,
    levels: Callable[[Array], Levels], *, data_std: float, num_times: int,
    num_samples: int, index: Array | None = None
) -> Integral:
  """Mean of weight (|x - E[x_0 | x_t]|^2 - that of data N(0, data_std^2)).

  Over u in (0, 1), of which levels are, and noise. An estimate is the mean over
  M levels, which share one random shift: u is (shift + 0, 1, ... M - 1) / M, as
  in arXiv:2107.00630, appendix I.1.

  Args:
    key: folded with each example's index, then with the estimate and the level.
    process: the noise process.
    denoiser: (x, t [B]) -> E[x_0 | x_t], given x_t in the dtype of x.
    x: data [B, ...].
    levels: u [B] -> the levels.
    data_std: of the Gaussian.
    num_times: M.
    num_samples: R.
    index: [B] of the examples; 0..B-1 where absent.

  Raises:
    ValueError: a number that is not positive; index is not [B].
  """
  for name, value in (('data_std', data_std), ('num_times', num_times),
                      ('num_samples', num_samples)):
    check_positive('denoising.integrate', name, value)
  given, x = jnp.result_type(x, float), widen(x)
  index = jnp.arange(x.shape[0]) if index is None else index
  check_index('denoising.integrate', index, x.shape[0])
  of_example = fold_in_each(key, index)

  def estimate(number: Array) -> tuple[Array, Key]:
    keys = jax.vmap(lambda k: jax.random.split(
        jax.random.fold_in(k, number), 3), out_axes=1)(of_example)
    shift = jax.vmap(lambda k: jax.random.uniform(
        k, (), x.dtype, minval=2.0**-24))(keys[0])  # not 0

    def add(total: Array, level: Array) -> tuple[Array, None]:
      at = levels((level + shift) / num_times)
      noise = normal_each(jax.vmap(lambda k: jax.random.fold_in(k, level))(
          keys[1]), x.shape[1:], x.dtype)
      xt = perturb(process, x, noise, at.t).astype(x.dtype)
      found = denoiser(xt.astype(given), at.t).astype(x.dtype)
      linear = _gaussian(process, data_std, xt, at.t)
      # The difference of squares, without cancellation.
      more = jnp.sum((linear - found) * (2 * x - linear - found),
                     axis=tuple(range(1, x.ndim)))
      return total + at.weight * more, None

    total, _ = jax.lax.scan(add, jnp.zeros(x.shape[0], x.dtype),
                            jnp.arange(num_times))
    return total / num_times, keys[2]

  return Integral(*jax.lax.map(estimate, jnp.arange(num_samples)))


def gaussian_error(x: Array, snr: Array, data_std: float) -> Array:
  """E|x - E[x_0 | x_t]|^2 of x [B, ...] for data N(0, data_std^2): [..., B].

  Args:
    x: what noise is added to.
    snr: alpha^2 / sigma^2, [...].
    data_std: of the data.
  """
  squared, size = squared_norm(x)
  shrunk = 1 + snr * data_std**2
  # As ratios whose squares are numbers at any signal-to-noise.
  return (jnp.multiply.outer(1 / shrunk**2, squared) + jnp.multiply.outer(
      snr / shrunk * data_std**4 / shrunk, jnp.full_like(squared, size)))


def gaussian_integral(
    x: Array, low: Array, high: Array, data_std: float
) -> Array:
  """Half the integral of `gaussian_error` over the SNR, nats [B].

  Args:
    x: [B, ...].
    low, high: the log-SNRs of its ends, [].
    data_std: of the data.
  """
  squared, size = squared_norm(x)
  low, high = (end + 2 * math.log(data_std) for end in (low, high))
  noise = jax.nn.softplus(high) - jax.nn.softplus(low)
  fall = jax.nn.sigmoid(-high) - jax.nn.sigmoid(-low)
  return 0.5 * (size * (noise + fall) - squared / data_std**2 * fall)


def squared_norm(x: Array) -> tuple[Array, int]:
  """|x|^2 [B] of x [B, ...], and the number of dimensions."""
  return (jnp.sum(jnp.square(x), axis=tuple(range(1, x.ndim))),
          math.prod(x.shape[1:]))


def _gaussian(process: Process, data_std: float, xt: Array, t: Array) -> Array:
  """E[x_0 | x_t] of data N(0, data_std^2)."""
  alpha, sigma = coefficients(process, t, xt.ndim)
  variance = jnp.square(sigma) + jnp.square(alpha * data_std)
  return (alpha * data_std**2 / variance * xt).astype(xt.dtype)
