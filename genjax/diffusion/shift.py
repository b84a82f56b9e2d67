"""Processes whose log-SNR is moved, as for images of another resolution."""

import math
from typing import Callable

from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.diffusion.process import from_schedules
from genjax.diffusion.times import even
from genjax.diffusion.times import LOG_SNR_LIMIT
from genjax.diffusion.times import uniform
from genjax.types import Array
from genjax.types import Process
from genjax.types import Quantile


def resolution_shift(size: int, base: int = 64) -> float:
  """2 ln(base / size) nats: the shift of the log-SNR for another resolution.

  A pixel of a low-pass image then has the noise that the schedule was made for:
  Hoogeboom et al., arXiv:2301.11093, eq. 4, 5.

  Args:
    size: side of the images in pixels.
    base: that for which the schedule was made.
  """
  check_positive('resolution_shift', 'size', size)
  check_positive('resolution_shift', 'base', base)
  return 2 * math.log(base / size)


def shifted(
    process: Process, shift: float, *, power: int = 2,
    times: Callable[[Process], Quantile] = uniform,
    grid: Callable[[Process, int], Array] = even
) -> Process:
  """`process` at the same times, its log-SNR `shift` nats higher.

  alpha is multiplied by exp(shift / 2), and both schedules are divided by what
  keeps alpha^power + sigma^power: of 2, processes stay variance preserving
  (arXiv:2301.11093, eq. 4, 5); of 1, the straight path stays straight, as in
  arXiv:2403.03206, eq. 23.

  Args:
    process: the noise process.
    shift: nats; negative is more noise.
    power: 2, or 1 for the straight path.
    times: (process) -> quantile function of its training times.
    grid: (process, num_steps) -> its sampling times [num_steps + 1].

  Raises:
    ValueError: a shift beyond +-20, or a power that is not positive.
  """
  check_in_range('shifted', 'shift', shift, -LOG_SNR_LIMIT, LOG_SNR_LIMIT)
  check_positive('shifted', 'power', power)
  factor = math.exp(0.5 * shift)

  def scale(t: Array) -> Array:  # finite where alpha or sigma is 0
    alpha, sigma = process.alpha(t), process.sigma(t)
    kept = alpha**power + sigma**power
    return (kept / ((factor * alpha)**power + sigma**power))**(1 / power)

  return from_schedules(
      alpha=lambda t: factor * process.alpha(t) * scale(t),
      sigma=lambda t: process.sigma(t) * scale(t),
      log_snr=lambda t: process.log_snr(t) + shift,
      time=lambda log_snr: process.time(log_snr - shift),
      t_min=process.t_min, t_max=process.t_max,
      ends_in_noise=process.ends_in_noise, times=times, grid=grid)
