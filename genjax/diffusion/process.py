"""Noise processes x_t = alpha(t) x_0 + sigma(t) eps, with eps ~ N(0, I).

Time conventions stay in this file: the rest of the package knows only t_min,
t_max and the log signal-to-noise ratio log(alpha^2 / sigma^2).

Times and coefficients are float32, or float64 where the times are, whatever
the dtype of data: in bfloat16 neighbouring levels would be one.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_index
from genjax.checks import check_order
from genjax.checks import check_same_shape
from genjax.diffusion.spline import rising_curve
from genjax.diffusion.times import even
from genjax.diffusion.times import karras
from genjax.diffusion.times import log_normal
from genjax.diffusion.times import to_zero
from genjax.diffusion.times import uniform
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Process
from genjax.types import Quantile
from genjax.types import Schedule
from genjax.types import Shape


def from_schedules(
    *, alpha: Schedule, sigma: Schedule, log_snr: Schedule, time: Schedule,
    t_min: float, t_max: float, ends_in_noise: bool = False,
    times: Callable[[Process], Quantile] = uniform,
    grid: Callable[[Process, int], Array] = even
) -> Process:
  """The process of these schedules, each evaluated in float32 at least.

  Args:
    alpha: t -> signal scale, elementwise as all schedules.
    sigma: t -> noise standard deviation.
    log_snr: t -> log(alpha^2 / sigma^2), decreasing, in closed form.
    time: log_snr -> t, its inverse.
    t_min: the time of least noise.
    t_max: that of most.
    ends_in_noise: whether alpha(t_max) is exactly 0.
    times: (process) -> quantile function of its training times.
    grid: (process, num_steps) -> its sampling times [num_steps + 1].
  """

  def wide(f: Schedule) -> Schedule:
    return lambda x: f(widen(x))

  process = Process(
      wide(alpha), wide(sigma), wide(log_snr), wide(time), t_min, t_max,
      ends_in_noise, times=lambda u: times(process)(u),
      grid=lambda num_steps: grid(process, num_steps))
  return process


def _from_log_alpha(log_alpha: Schedule, time_of: Schedule,
                    t_min: float, t_max: float) -> Process:
  """Variance-preserving process; `time_of` inverts -2 log_alpha."""
  return from_schedules(
      alpha=lambda t: jnp.exp(log_alpha(t)),
      sigma=lambda t: jnp.sqrt(-jnp.expm1(2 * log_alpha(t))),
      # Not log(expm1(-2 log alpha)), which is infinite long before alpha is 0.
      log_snr=lambda t: (2 * log_alpha(t)
                         - jnp.log(-jnp.expm1(2 * log_alpha(t)))),
      # alpha^2 = sigmoid(log_snr), hence -2 log alpha = softplus(-log_snr).
      time=lambda log_snr: time_of(jax.nn.softplus(-log_snr)),
      t_min=t_min, t_max=t_max)


def vp_linear(beta_min: float = 0.1, beta_max: float = 20.0) -> Process:
  """Variance-preserving process with beta(t) linear on [0, 1].

  The VP-SDE of Song et al., arXiv:2011.13456, eq. 32, 33: alpha(t) =
  exp(-(beta_max - beta_min) t^2 / 4 - beta_min t / 2).
  """
  return _from_log_alpha(
      *_linear_betas('vp_linear', beta_min, beta_max), 0.0, 1.0)


def sub_vp(beta_min: float = 0.1, beta_max: float = 20.0) -> Process:
  """The sub-VP process, sigma = 1 - alpha^2, with the alpha of `vp_linear`.

  Song et al., arXiv:2011.13456, eq. 29: of less noise than any
  variance-preserving process of that alpha, most of all next to the data.
  """
  log_alpha, time_of = _linear_betas('sub_vp', beta_min, beta_max)

  def log_sigma(t):
    return jnp.log(-jnp.expm1(2 * log_alpha(t)))

  return from_schedules(
      alpha=lambda t: jnp.exp(log_alpha(t)),
      sigma=lambda t: -jnp.expm1(2 * log_alpha(t)),
      log_snr=lambda t: 2 * (log_alpha(t) - log_sigma(t)),
      # sigma / alpha is 1 / alpha - alpha, twice the sinh of -log alpha.
      time=lambda log_snr: time_of(
          2 * jnp.arcsinh(0.5 * jnp.exp(-0.5 * log_snr))),
      t_min=0.0, t_max=1.0)


def _linear_betas(
    where: str, beta_min: float, beta_max: float
) -> tuple[Schedule, Schedule]:
  """log alpha(t) of beta(t) linear on [0, 1], and t of -2 log alpha."""
  slope = beta_max - beta_min
  check(beta_min > 0 and slope > 0, where, '0 < beta_min < beta_max',
        (beta_min, beta_max))

  def log_alpha(t):
    return -0.25 * slope * jnp.square(t) - 0.5 * beta_min * t

  def time_of(b):  # the root of slope t^2 / 2 + beta_min t = b, not cancelling
    return 2 * b / (beta_min + jnp.sqrt(beta_min**2 + 2 * slope * b))

  return log_alpha, time_of


def vp_cosine(offset: float = 0.008, t_max: float = 1.0) -> Process:
  """Variance-preserving process with alpha(t) = cos(u(t)) / cos(u(0)).

  u(t) = (t + offset) / (1 + offset) pi / 2: Nichol & Dhariwal,
  arXiv:2102.09672, eq. 17, in continuous time. alpha is exactly 0 at t = 1;
  give a `t_max` below 1 where that must not be (eps-prediction).
  """
  check(0 <= offset, 'vp_cosine', 'offset must not be negative', offset)
  check(0 < t_max <= 1, 'vp_cosine', 't_max must be in (0, 1]', t_max)
  rate = 0.5 * math.pi / (1 + offset)
  start = rate * offset

  def cos_u(t):  # from the far end, so that it is exactly zero at t = 1
    return jnp.sin(rate * (1 - t))

  def squared_sine(t):  # cos(start)^2 - cos(u)^2, without cancellation
    return jnp.sin(rate * t) * jnp.sin(rate * t + 2 * start)

  def log_snr(t):
    return 2 * jnp.log(cos_u(t)) - jnp.log(squared_sine(t))

  def time(log_snr):
    # With x = u - start: sin x over cos x, each times sin u + alpha sin(start),
    # which rids sin x = (sin^2 u - sin^2 start) / ... of its cancellation.
    alpha = jnp.sqrt(jax.nn.sigmoid(log_snr))
    sigma2 = jax.nn.sigmoid(-log_snr)
    sin_u = jnp.sqrt(math.sin(start)**2 + math.cos(start)**2 * sigma2)
    cos_x = math.cos(start)**2 * alpha + math.sin(start) * sin_u
    x = jnp.arctan2(math.cos(start) * sigma2,
                    cos_x * (sin_u + math.sin(start) * alpha))
    return jnp.minimum(x / rate, 1.0)

  return from_schedules(
      alpha=lambda t: cos_u(t) / math.cos(start),
      sigma=lambda t: jnp.sqrt(squared_sine(t)) / math.cos(start),
      log_snr=log_snr, time=time, t_min=0.0, t_max=t_max,
      ends_in_noise=t_max == 1)


def ve(sigma_min: float = 0.01, sigma_max: float = 50.0) -> Process:
  """Variance-exploding process, sigma(t) geometric on [0, 1], alpha = 1.

  The VE-SDE of Song et al., arXiv:2011.13456, eq. 30, without its offset
  -sigma_min^2. Trained and sampled at the levels of `edm`, which end at
  sigma_min here.
  """
  check(0 < sigma_min < sigma_max, 've', '0 < sigma_min < sigma_max',
        (sigma_min, sigma_max))
  low, span = math.log(sigma_min), math.log(sigma_max / sigma_min)
  return from_schedules(
      alpha=jnp.ones_like,
      sigma=lambda t: jnp.exp(low + span * t),
      log_snr=lambda t: -2 * (low + span * t),
      time=lambda log_snr: (-0.5 * log_snr - low) / span,
      t_min=0.0, t_max=1.0, times=log_normal,
      grid=lambda p, num_steps: karras(
          p, num_steps + 1, sigma_min=sigma_min, sigma_max=sigma_max))


def edm(sigma_min: float = 0.002, sigma_max: float = 80.0) -> Process:
  """Variance-exploding process whose time is the noise level: sigma(t) = t.

  Karras et al., arXiv:2206.00364. Trained at log-normal levels and sampled at
  theirs, which end at t = 0.
  """
  check(0 < sigma_min < sigma_max, 'edm', '0 < sigma_min < sigma_max',
        (sigma_min, sigma_max))
  return from_schedules(
      alpha=jnp.ones_like,
      sigma=lambda t: t,
      log_snr=lambda t: -2 * jnp.log(t),
      time=lambda log_snr: jnp.exp(-0.5 * log_snr),
      t_min=sigma_min, t_max=sigma_max, times=log_normal,
      grid=lambda p, num_steps: to_zero(karras(
          p, num_steps, sigma_min=sigma_min, sigma_max=sigma_max)))


def flow_matching() -> Process:
  """The straight path x_t = (1 - t) x_0 + t eps, t on [0, 1].

  Conditional optimal transport of Lipman et al., arXiv:2210.02747, sec. 4.1,
  and rectified flow, Liu et al., arXiv:2209.03003, with noise at t = 1.
  """
  return from_schedules(
      alpha=lambda t: 1 - t,
      sigma=lambda t: t,
      log_snr=lambda t: 2 * (jnp.log1p(-t) - jnp.log(t)),
      time=lambda log_snr: jax.nn.sigmoid(-0.5 * log_snr),
      t_min=0.0, t_max=1.0, ends_in_noise=True)


def discretize(betas: np.ndarray) -> Process:
  """DDPM's chain: its T noise levels are the times 1/T, 2/T, ..., 1, exactly.

  Ho et al., arXiv:2006.11239, eq. 4: alpha at t = n/T is the root of the
  product of the first n factors 1 - beta. Between the levels log alpha is a
  smooth, monotone spline, so that solvers of the probability flow keep their
  order; at t = 0 there is no noise.

  Args:
    betas: [T] noise variances of the steps, each in (0, 1).

  Raises:
    ValueError: betas are not [T], or not in (0, 1).
  """
  betas = np.asarray(betas, np.float64)
  check(betas.ndim == 1 and betas.size > 0, 'discretize',
        'betas must be [T] with T >= 1', f'shape {betas.shape}')
  check(bool(np.all((betas > 0) & (betas < 1))), 'discretize',
        'betas must be in (0, 1)', f'[{betas.min()}, {betas.max()}]')
  decay = np.concatenate([[0.0], -np.cumsum(np.log1p(-betas))])  # -2 log alpha
  curve, inverse = rising_curve(decay)
  return _from_log_alpha(lambda t: -0.5 * curve(t), inverse, 0.0, 1.0)


def linear_betas(
    num_steps: int = 1000, first: float = 1e-4, last: float = 0.02
) -> np.ndarray:
  """DDPM's linear noise variances [T], float64 (arXiv:2006.11239, sec. 4)."""
  return np.linspace(first, last, num_steps)


def cosine_betas(
    num_steps: int = 1000, offset: float = 0.008, most: float = 0.999
) -> np.ndarray:
  """Improved DDPM's cosine noise variances [T] (arXiv:2102.09672, eq. 17)."""
  t = np.linspace(0, 1, num_steps + 1)
  alpha_bar = np.cos((t + offset) / (1 + offset) * np.pi / 2)**2
  return np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], most)


def coefficients(process: Process, t: Array, ndim: int) -> tuple[Array, Array]:
  """(alpha, sigma) at t, [] or [B], shaped to multiply x of `ndim` axes."""
  return (broadcast_right(process.alpha(t), ndim),
          broadcast_right(process.sigma(t), ndim))


def rates(process: Process, t: Array, ndim: int) -> tuple[Array, Array]:
  """(d alpha/dt, d sigma/dt) at t, shaped to multiply x of `ndim` axes."""
  t = widen(t)
  d_alpha, d_sigma = (jax.jvp(f, (t,), (jnp.ones_like(t),))[1]
                      for f in (process.alpha, process.sigma))
  return broadcast_right(d_alpha, ndim), broadcast_right(d_sigma, ndim)


def flow_velocity(process: Process, x0: Array, x: Array, t: Array) -> Array:
  """dx/dt [B, ...] of the probability flow where E[x_0 | x_t] is x0.

  alpha' x_0 + sigma' eps with eps = (x - alpha x_0) / sigma, which is the flow
  of Song et al., arXiv:2011.13456, eq. 13, in any parametrisation. Not defined
  where sigma is 0.
  """
  alpha, sigma = coefficients(process, t, x.ndim)
  d_alpha, d_sigma = rates(process, t, x.ndim)
  return d_alpha * x0 + d_sigma * ((x - alpha * x0) / sigma)


def perturb(process: Process, x0: Array, eps: Array, t: Array) -> Array:
  """x_t [B, ...]: the forward process from data to any time in one shot.

  Args:
    process: the noise process.
    x0: data [B, ...].
    eps: standard normal noise [B, ...].
    t: times, [] or [B].

  Returns:
    x_t, float32 or wider whatever the dtype of x0.

  Raises:
    ValueError: x0 and eps are of other shapes.
  """
  check_same_shape('perturb', x0=x0, eps=eps)
  alpha, sigma = coefficients(process, t, x0.ndim)
  return alpha * x0 + sigma * eps


def transition(process: Process, s: Array, t: Array) -> tuple[Array, Array]:
  """(scale, std) of the forward process x_t = scale x_s + std z, for s < t.

  Composing transitions gives the law of `perturb`: arXiv:2107.00630, eq. 20.
  """
  scale = process.alpha(t) / process.alpha(s)
  # sigma_t^2 - scale^2 sigma_s^2, without cancellation.
  fresh = -jnp.expm1(process.log_snr(t) - process.log_snr(s))
  return scale, process.sigma(t) * jnp.sqrt(fresh)


def diffuse(
    key: Key, process: Process, x0: Array, times: Array, *,
    index: Array | None = None
) -> Array:
  """The forward process step by step: all states [T, B, ...].

  A chain of `transition`s, each adding its own noise, where `perturb` goes to
  one time in one shot: the law at each time is the same.

  Args:
    key: folded with each sample's index, then with the step.
    process: the noise process.
    x0: data [B, ...].
    times: [T] strictly increasing, of any dtype; the first may have sigma = 0.
    index: [B] sample indices; 0..B-1 where absent.

  Returns:
    The states, computed in float32 or wider and given in the dtype of x0
    (float32 where that is of whole numbers). NaN where times are traced and
    do not increase.

  Raises:
    ValueError: times is not [T], or known and not increasing; index is not [B].
  """
  check(times.ndim == 1 and times.shape[0] >= 1, 'diffuse',
        'times must be [T] with T >= 1', f'shape {times.shape}')
  times = check_order('diffuse', 'times', widen(times), falling=False)
  dtype, x0 = jnp.result_type(x0, float), widen(x0)
  index = jnp.arange(x0.shape[0]) if index is None else index
  check_index('diffuse', index, x0.shape[0])
  keys = fold_in_each(key, index)

  def noise(step):
    step_keys = jax.vmap(lambda k: jax.random.fold_in(k, step))(keys)
    return normal_each(step_keys, x0.shape[1:], x0.dtype)

  def body(x, inputs):
    step, s, t = inputs
    scale, std = transition(process, s, t)
    x = scale * x + std * noise(step)
    return x, x

  times = times.astype(x0.dtype)
  first = perturb(process, x0, noise(0), times[0])
  steps = jnp.arange(1, times.shape[0])
  _, later = jax.lax.scan(body, first, (steps, times[:-1], times[1:]))
  return jnp.concatenate([first[None], later]).astype(dtype)


def prior_sample(
    key: Key, process: Process, shape: Shape, data_std: float = 1.0, *,
    time: float | Array | None = None, index: Array | None = None
) -> Array:
  """Draws x [B, ...] at `time`, from N(0, alpha^2 data_std^2 + sigma^2).

  Exact where alpha is 0 or data is N(0, data_std^2), close where the noise
  drowns the data.

  Args:
    key: folded with each sample's index, so the batch size does not matter.
    process: the noise process.
    shape: [B, ...].
    data_std: standard deviation of the data.
    time: [], the first of the grid that x is sampled on; t_max where absent.
    index: [B] sample indices; 0..B-1 where absent.

  Returns:
    x, float32.

  Raises:
    ValueError: index is not [B].
  """
  index = jnp.arange(shape[0]) if index is None else index
  check_index('prior_sample', index, shape[0])
  eps = normal_each(fold_in_each(key, index), shape[1:])
  t = jnp.asarray(process.t_max if time is None else time, eps.dtype)
  alpha, sigma = process.alpha(t), process.sigma(t)
  return jnp.sqrt(jnp.square(alpha * data_std) + jnp.square(sigma)) * eps
