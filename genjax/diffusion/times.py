"""Times to train at and time grids to sample on.

A training distribution is its quantile function u -> t, so that a batch can
share one low-discrepancy set of u. A grid is [T + 1] strictly decreasing, from
t_max or later to t_min or earlier, or to 0 where that is free of noise.

Whatever of a process is known when a grid is made is computed in float64, and
what is wrong of it an error. Schedules that are traced, as those of a learned
process are, give grids in float32, and NaN for what is wrong.
"""

import math
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_order
from genjax.checks import check_positive
from genjax.checks import known
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Process
from genjax.types import Quantile
from genjax.types import Schedule

# Training never leaves this range of log-SNR: beyond it the noise, or the
# data, is below float32's resolution of the other.
LOG_SNR_LIMIT = 20.0

FIRST = 2.0**-24  # the least of `stratified`'s numbers


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

  def quantile(u):
    u = widen(u)
    ends = process.time(jnp.asarray([LOG_SNR_LIMIT, -LOG_SNR_LIMIT], u.dtype))
    low = jnp.maximum(ends[0], process.t_min)
    high = jnp.minimum(ends[1], process.t_max)
    return low + (high - low) * u

  return quantile


def uniform_log_snr(process: Process, low: float, high: float) -> Quantile:
  """Log-SNR uniform on [low, high]; its times may lie beyond t_min and t_max.

  Raises:
    ValueError: low is not below high, either is beyond +-20, or the schedule
      itself, as of a chain, does not go so far.
  """
  where = 'uniform_log_snr'
  check(low < high, where, 'low must be below high', (low, high))
  check(-LOG_SNR_LIMIT <= low and high <= LOG_SNR_LIMIT, where,
        f'low and high must be within +-{LOG_SNR_LIMIT:g}', (low, high))
  there = _known(lambda x: process.log_snr(process.time(x)), [low, high])
  check(there is None or np.allclose(there, [low, high], rtol=0, atol=1e-6),
        where, 'low and high must be log-SNRs that the process has',
        (low, high))
  return lambda u: process.time(high + (low - high) * u)


def log_normal(
    process: Process, mean: float = -1.2, std: float = 1.2
) -> Quantile:
  """ln(sigma / alpha) ~ N(mean, std^2): Karras et al., arXiv:2206.00364, 5.

  Short of log-SNR +-20. Its times may lie beyond t_min and t_max; those of a
  chain, which ends there, do not.
  """
  check_positive('log_normal', 'std', std)

  def quantile(u):
    log_snr = -2 * (mean + std * jax.scipy.special.ndtri(u))
    return process.time(jnp.clip(log_snr, -LOG_SNR_LIMIT, LOG_SNR_LIMIT))

  return quantile


def logit_normal(mean: float = 0.0, std: float = 1.0) -> Quantile:
  """logit(t) ~ N(mean, std^2), for flow matching: arXiv:2403.03206, eq. 19.

  Short of log-SNR +-20, where the logit is -+10.
  """
  check_positive('logit_normal', 'std', std)
  most = LOG_SNR_LIMIT / 2
  return lambda u: jax.nn.sigmoid(
      jnp.clip(mean + std * jax.scipy.special.ndtri(u), -most, most))


def importance(
    process: Process, size: Schedule, *, cells: int = 128, even: float = 0.1
) -> Quantile:
  """Times of the process, more often where the loss is larger.

  The estimate of a loss varies least where times have the density of the root
  of its mean square, which goes with its mean where errors of all levels are
  spread alike: Nichol & Dhariwal, arXiv:2102.09672, eq. 18.

  Args:
    process: the noise process.
    size: log_snr [N] -> mean of the loss there [N], in any unit; no gradient
      goes through it.
    cells: in which the numbers u of `process.times` are told apart.
    even: share of the times that are drawn evenly, which bounds the weight of
      any at one over it.

  Raises:
    ValueError: numbers out of range.
  """
  check(cells >= 1, 'importance', 'cells must be 1 or more', cells)
  check(0 < even <= 1, 'importance', 'even must be in (0, 1]', even)
  edges = np.linspace(FIRST, 1 - FIRST, cells + 1)
  middle = jnp.asarray(0.5 * (edges[1:] + edges[:-1]))
  mass = size(process.log_snr(process.times(middle)))
  mass = (1 - even) * mass / jnp.sum(mass) + even / cells
  below = jnp.concatenate([jnp.zeros(1, mass.dtype), jnp.cumsum(mass)])
  below = jax.lax.stop_gradient(below / below[-1])
  return lambda u: process.times(jnp.interp(u, below, edges))


def karras(
    process: Process, num_steps: int, *, sigma_min: float | None = None,
    sigma_max: float | None = None, rho: float = 7.0
) -> Array:
  """Grid [num_steps] even in (sigma / alpha)^(1 / rho).

  Karras et al., arXiv:2206.00364, eq. 5, without its last level 0; see
  `to_zero`.

  Args:
    process: the noise process.
    num_steps: of levels, 2 or more.
    sigma_min: the last sigma / alpha; .002, or that at t_min if it is larger.
    sigma_max: the first; 80, or that at t_max if it is smaller.
    rho: how much closer the levels are at low noise.

  Raises:
    ValueError: a number out of range; levels beyond those at t_min and t_max,
      or so many that float32 does not tell their times apart; levels left to a
      process whose schedule is traced.
  """
  found = reach(process)
  if sigma_min is None or sigma_max is None:
    if found is None:
      raise ValueError('karras: sigma_min and sigma_max must be given where '
                       'the schedule is traced, got None')
    least, most = np.exp(-0.5 * found[::-1])
    sigma_min = max(0.002, least) if sigma_min is None else sigma_min
    sigma_max = min(80.0, most) if sigma_max is None else sigma_max
  check(num_steps >= 2, 'karras', 'num_steps must be 2 or more', num_steps)
  check_positive('karras', 'rho', rho)
  check(0 < sigma_min < sigma_max, 'karras', '0 < sigma_min < sigma_max',
        (sigma_min, sigma_max))
  high, low = sigma_max**(1 / rho), sigma_min**(1 / rho)
  sigma = np.linspace(high, low, num_steps)**rho
  return _at_log_snr('karras', process, -2 * np.log(sigma))


def even(process: Process, num_steps: int) -> Array:
  """Grid [num_steps + 1] even in t, from t_max to t_min."""
  check(num_steps >= 1, 'even', 'num_steps must be 1 or more', num_steps)
  grid = np.linspace(process.t_max, process.t_min, num_steps + 1)
  return check_order('even', 'times', jnp.asarray(grid), falling=True)


def even_log_snr(
    process: Process, num_steps: int, *, low: float, high: float
) -> Array:
  """Grid [num_steps + 1] even in log-SNR, from `low` to `high`.

  Raises:
    ValueError: as `karras`.
  """
  check(num_steps >= 1, 'even_log_snr', 'num_steps must be 1 or more',
        num_steps)
  check(low < high, 'even_log_snr', 'low must be below high', (low, high))
  return _at_log_snr('even_log_snr', process,
                     np.linspace(low, high, num_steps + 1))


def to_zero(times: Array) -> Array:
  """Appends the time 0 to a grid, [T] to [T + 1]: noiseless but on `ve`.

  NaN where `times` are traced and end at 0 already.

  Raises:
    ValueError: they are known and do.
  """
  return check_order('to_zero', 'times', jnp.append(widen(times), 0.0),
                     falling=True)


def to_no_noise(
    process: Process, num_steps: int, *, rho: float = 7.0
) -> Array:
  """Grid [num_steps + 1] of `karras`, from the most noise to the least.

  Time 0 is its last where that is free of noise. Noise over signal is .002 at
  least above it, and 80 at most where there is no signal at t_max.

  Raises:
    ValueError: as `karras`.
  """
  ends, sigma = reach(process), _known(process.sigma, 0.0)
  most = None
  if ends is not None and math.isfinite(ends[0]):
    most = math.exp(-0.5 * ends[0])
  if sigma is not None and sigma > 0:
    return karras(process, num_steps + 1, sigma_max=most, rho=rho)
  return to_zero(karras(process, num_steps, sigma_max=most, rho=rho))


def check_grid(process: Process, times: Array) -> Array:
  """`times` if they are a grid of `process`; NaN if they are traced and not.

  A grid falls strictly within [t_min, t_max]; its last may be 0 where there is
  no noise at 0. `prior_sample` has its law at the first, if it is told so.

  Args:
    process: the noise process.
    times: [T + 1].

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and no grid.
  """
  where = 'check_grid'
  check(jnp.ndim(times) == 1 and len(times) >= 2, where,
        'times must be [T + 1] with T >= 1', f'shape {jnp.shape(times)}')
  times = check_order(where, 'times', widen(times), falling=True)
  sigma = _known(process.sigma, 0.0)
  noiseless = (process.sigma(jnp.zeros(())) if sigma is None else sigma) == 0
  low, high = (times.dtype.type(end) for end in (process.t_min, process.t_max))
  numbers = times if (values := known(times)) is None else values
  inside = (numbers <= high) & ((numbers >= low) | (
      (numbers == 0) & (noiseless & (np.arange(len(times)) == len(times) - 1))))
  if (fine := known(inside)) is None:
    return jnp.where(jnp.all(inside), times, jnp.nan)
  check(bool(np.all(fine)), where,
        f'times must be within [{process.t_min:g}, {process.t_max:g}]'
        + ' or end at 0' * bool(noiseless), f'{numbers[np.argmin(fine)]:g}')
  return times


def _known(f: Callable[[Array], Array], x: Any) -> np.ndarray | None:
  """f(x) of a schedule at known x, in float64; None where f is traced.

  In float64 so that constants are rounded once, when they are used.
  """
  try:
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
      return np.asarray(f(jnp.asarray(x, jnp.float64)))
  except (jax.errors.UnexpectedTracerError,
          jax.errors.TracerArrayConversionError):
    return None


def reach(process: Process) -> np.ndarray | None:
  """Log-SNR at t_max and t_min, which may be infinite: [2]; None if traced."""
  return _known(process.log_snr, [process.t_max, process.t_min])


def _at_log_snr(where: str, process: Process, log_snr: np.ndarray) -> Array:
  """The grid of these log-SNRs, which rise, within those of the process."""
  ends, times = reach(process), _known(process.time, log_snr)
  if ends is None or times is None:
    low, high = process.log_snr(jnp.asarray([process.t_max, process.t_min]))
    inside = (log_snr[0] >= low - 1e-4) & (log_snr[-1] <= high + 1e-4)
    grid = jnp.clip(process.time(jnp.asarray(log_snr)), process.t_min,
                    process.t_max)
    grid = jnp.where(inside, grid, jnp.nan)
  else:
    low, high = ends
    check(log_snr[0] >= low - 1e-6 and log_snr[-1] <= high + 1e-6, where,
          'levels must be within those of the process, of log-SNR '
          f'[{low:.6g}, {high:.6g}] and sigma / alpha '
          f'[{math.exp(-high / 2):.6g}, {math.exp(-low / 2):.6g}]',
          f'log-SNR [{log_snr[0]:.6g}, {log_snr[-1]:.6g}]')
    grid = jnp.asarray(np.clip(times, process.t_min, process.t_max))
  return check_order(where, 'times', grid, falling=True)


def invert(f: Callable[[Array], Array], y: Array, low: float, high: float
           ) -> Array:
  """x in [low, high] at which f(x) is y, by bisection; the nearer end if none.

  Args:
    f: elementwise and rising.
    y: of any shape.
    low: the lower end.
    high: the upper end.

  Returns:
    x of the shape of y, to a rounding of float32 (or of float64, where y is
    that) of the larger end. Its gradient is 0.
  """
  y = widen(jax.lax.stop_gradient(y))

  def halve(_, ends):
    below, above = ends
    middle = 0.5 * (below + above)
    right = jax.lax.stop_gradient(f(middle)) < y
    return jnp.where(right, middle, below), jnp.where(right, above, middle)

  ends = jnp.full_like(y, low), jnp.full_like(y, high)
  below, above = jax.lax.fori_loop(0, jnp.finfo(y.dtype).nmant + 2, halve, ends)
  return 0.5 * (below + above)
