"""Log-densities by the errors of denoising: the I-MMSE relation.

How well x can be told from noise at every signal-to-noise ratio says its
density exactly, and no prior nor decoder is in it: Kong et al.,
arXiv:2302.03792.
"""

import math

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_order
from genjax.checks import check_positive
from genjax.diffusion import denoising
from genjax.diffusion.denoising import Levels
from genjax.distributions.base import mean_of
from genjax.distributions.base import MonteCarlo
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process


def log_likelihood(
    key: Key, process: Process, denoiser: Denoiser, x: Array, times: Array, *,
    data_std: float = 1.0, scale: float = 2.0, num_times: int = 32,
    num_samples: int = 8, index: Array | None = None
) -> MonteCarlo:
  """log p(x) of data x [B, ...], nats, exact for the best denoiser.

  With g = alpha^2 / sigma^2 of data as they are given, and E over noise at g,

    log p(x) = log N(x; 0, s^2)
               + 1/2 int_0^inf E|x - D_s(x_t)|^2 - E|x - E[x_0 | x_t]|^2 dg,

  D_s being the denoiser of data N(0, s^2): arXiv:2302.03792, eq. 8, where of
  D_s the mean over data is taken and s is 1. It is sampled in log g, logistic
  around -2 log s, cut off at the levels of the first and the last time. Beyond
  these the two errors are taken to be equal. Of nearly no signal both denoisers
  say nearly 0. Of little noise both errors are D / g, and what is left out is
  r^2 / 2 E|grad log p(x) + x / s^2|^2 in the mean over data, with r = sigma /
  alpha at the last time: log p(x) comes out too low by it.

  Args:
    key: folded with each example's index.
    process: the noise process.
    denoiser: (x, t [B]) -> E[x_0 | x_t], given x_t in the dtype of x.
    x: data; one's density of which is asked for.
    times: [T + 1] strictly decreasing, of which the first and the last are
      looked at: alpha may be 0 at the first, and sigma is positive at the last.
    data_std: s.
    scale: of the logistic; more where directions of data differ in scale.
    num_times: how many levels an estimate looks at.
    num_samples: R, the number of estimates that are averaged.
    index: [B] of the examples; 0..B-1 where absent.

  Returns:
    The value [B] and its standard error [B] over estimates, float32, or float64
    where x is. NaN where times are traced and do not decrease; the error is NaN
    of a single estimate.

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and not decreasing; a
      number that is not positive; index is not [B].
  """
  where, times = 'immse', jnp.asarray(times)
  check(times.ndim == 1 and times.shape[0] >= 2, where,
        'times must be [T + 1] with T >= 1', f'shape {times.shape}')
  for name, value in (('data_std', data_std), ('scale', scale)):
    check_positive(where, name, value)
  wide = widen(x)
  times = check_order(where, 'times', widen(times), falling=True)
  times = times.astype(wide.dtype)
  shift = 2 * math.log(data_std)
  ends = process.log_snr(times[jnp.array([0, -1])]).astype(wide.dtype)
  low, high = jax.nn.sigmoid((ends + shift) / scale)

  def levels(u: Array) -> Levels:
    share = low + (high - low) * u
    log_snr = scale * (jnp.log(share) - jnp.log1p(-share)) - shift
    t = jnp.clip(process.time(log_snr), times[-1], times[0]).astype(u.dtype)
    # d g / d u, from d log_snr / d share = scale / (share (1 - share)).
    return Levels(t, 0.5 * jnp.exp(log_snr) * scale * (high - low) / (
        share * (1 - share)))

  found = denoising.integrate(
      key, process, denoiser, x, levels, data_std=data_std,
      num_times=num_times, num_samples=num_samples, index=index)
  squared, size = denoising.squared_norm(wide)
  gaussian = -0.5 * (squared / data_std**2 + size * (
      math.log(2 * math.pi) + shift))
  return mean_of(gaussian - found.values)
