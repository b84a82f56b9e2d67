"""Times to train at and time grids to sample on.

A training distribution is its quantile function u -> t, so that a batch can
share one low-discrepancy set of u. A grid is [T + 1] strictly decreasing.
"""

from typing import Callable

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion.process import Process
from genjax.types import Array
from genjax.types import Key

Quantile = Callable[[Array], Array]

# Training never leaves this range of log-SNR: beyond it the noise, or the
# data, is below float32's resolution of the other.
LOG_SNR_LIMIT = 20.0


def stratified(key: Key, index: Array) -> Array:
  """Numbers u [B] in (0, 1), each uniform, that fill the interval evenly.

  The additive recurrence of the golden ratio with a random start: as even as
  the strata of VDM (arXiv:2107.00630, appendix I.1), yet row i depends on
  index i alone, not on the batch size, nor on how devices share the batch.

  Args:
    key: one key for the whole batch.
    index: [B] int32 position in the global batch.
  """
  golden = jnp.uint32(2654435769)  # 2^32 / golden ratio: wraps exactly
  start = jax.random.bits(key, (), jnp.uint32)
  bits = start + index.astype(jnp.uint32) * golden
  return ((bits >> 9).astype(jnp.float32) + 0.5) * 2.0**-23


def uniform(process: Process) -> Quantile:
  """Times uniform between t_min and t_max, short of log-SNR +-20."""
  low, high = _limits(process)
  return lambda u: low + (high - low) * u


def uniform_log_snr(process: Process, low: float, high: float) -> Quantile:
  """Log-SNR uniform on [low, high]."""
  check(low < high, 'uniform_log_snr', 'low must be below high', (low, high))
  return lambda u: process.time(high + (low - high) * u)


def log_normal(
    process: Process, mean: float = -1.2, std: float = 1.2
) -> Quantile:
  """ln(sigma / alpha) ~ N(mean, std^2): Karras et al., arXiv:2206.00364, 5."""
  check_positive('log_normal', 'std', std)

  def quantile(u):
    log_snr = -2 * (mean + std * jax.scipy.special.ndtri(u))
    return process.time(jnp.clip(log_snr, -LOG_SNR_LIMIT, LOG_SNR_LIMIT))

  return quantile


def logit_normal(mean: float = 0.0, std: float = 1.0) -> Quantile:
  """logit(t) ~ N(mean, std^2), for flow matching: arXiv:2403.03206, eq. 19."""
  check_positive('logit_normal', 'std', std)
  return lambda u: jax.nn.sigmoid(mean + std * jax.scipy.special.ndtri(u))


def _limits(process: Process) -> tuple[float, float]:
  with jax.ensure_compile_time_eval():
    ends = process.time(jnp.asarray([LOG_SNR_LIMIT, -LOG_SNR_LIMIT]))
    return (max(process.t_min, float(ends[0])),
            min(process.t_max, float(ends[1])))


def karras(
    process: Process, num_steps: int, *, sigma_min: float = 0.002,
    sigma_max: float = 80.0, rho: float = 7.0
) -> Array:
  """Grid [num_steps] even in (sigma / alpha)^(1 / rho).

  Karras et al., arXiv:2206.00364, eq. 5, without its last level 0; see
  `to_zero`.
  """
  check(num_steps >= 2, 'karras', 'num_steps must be 2 or more', num_steps)
  check(0 < sigma_min < sigma_max, 'karras', '0 < sigma_min < sigma_max',
        (sigma_min, sigma_max))
  high, low = sigma_max**(1 / rho), sigma_min**(1 / rho)
  sigma = jnp.linspace(high, low, num_steps)**rho
  return process.time(-2 * jnp.log(sigma))


def even(process: Process, num_steps: int) -> Array:
  """Grid [num_steps + 1] even in t, from t_max to t_min."""
  check(num_steps >= 1, 'even', 'num_steps must be 1 or more', num_steps)
  return jnp.linspace(process.t_max, process.t_min, num_steps + 1)


def even_log_snr(
    process: Process, num_steps: int, *, low: float, high: float
) -> Array:
  """Grid [num_steps + 1] even in log-SNR, from `low` to `high`."""
  check(num_steps >= 1, 'even_log_snr', 'num_steps must be 1 or more',
        num_steps)
  check(low < high, 'even_log_snr', 'low must be below high', (low, high))
  return process.time(jnp.linspace(low, high, num_steps + 1))


def to_zero(times: Array) -> Array:
  """Appends the time 0 to a grid, [T] to [T + 1]: noiseless but on `ve`."""
  return jnp.append(times, 0.0)
