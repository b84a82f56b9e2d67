"""Samplers that remember nothing of the steps before.

Steps are written x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s /
sigma_t) x_0, which is finite where alpha_t = 0 and where sigma_s = 0.
"""

from typing import Callable

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.diffusion.process import flow_velocity
from genjax.diffusion.process import rates
from genjax.diffusion.process import transition
from genjax.diffusion.samplers.solve import Sampler
from genjax.types import Array
from genjax.types import Process


def toward(process: Process, x: Array, x0: Array, t: Array, s: Array) -> Array:
  """The exact x_s of the flow whose x_0 prediction stays constant."""
  ratio = process.sigma(s) / process.sigma(t)
  return ratio * x + (process.alpha(s) - process.alpha(t) * ratio) * x0


def ddim(process: Process, *, eta: float = 0.0) -> Sampler:
  """DDIM: Song et al., arXiv:2010.02502, eq. 12, 16. Order 1.

  eta = 0 is deterministic, an exponential integrator of the probability-flow
  ODE (Euler's method in sigma / alpha); eta = 1 draws from DDPM's posterior.
  Exact at any step count where the denoiser is constant.
  """
  check(0 <= eta <= 1, 'ddim', 'eta must be in [0, 1]', eta)

  def step(noise, carry, x, denoiser, span):
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    if eta == 0:
      return carry, toward(process, x, x0, t, s)
    # The share of x_s's noise that is drawn afresh, at eta = 1: 1 - SNR_t/SNR_s
    fresh = -jnp.expm1(process.log_snr(t) - process.log_snr(s))
    sigma_s, alpha_s = process.sigma(s), process.alpha(s)
    ratio = sigma_s * jnp.sqrt(1 - eta**2 * fresh) / process.sigma(t)
    std = eta * sigma_s * jnp.sqrt(fresh)
    mean = ratio * x + (alpha_s - process.alpha(t) * ratio) * x0
    return carry, mean + std * noise()

  return Sampler(lambda x: None, step)


def ancestral(process: Process) -> Sampler:
  """DDPM's sampler: Ho et al., arXiv:2006.11239, eq. 6, 7, algorithm 2.

  Draws x_s from q(x_s | x_t, x_0) with the smaller of its two variances
  (beta-tilde), on any grid and process. The same as ddim with eta = 1.
  """
  return ddim(process, eta=1.0)


def euler(process: Process) -> Sampler:
  """Euler's method on the probability-flow ODE in the process's time. Order 1.

  dx/dt = alpha'(t) x_0 + sigma'(t) eps. On `edm` and `flow_matching` it equals
  DDIM, whose coordinates these are; on variance-preserving processes DDIM is
  the better method. A step to sigma = 0 is DDIM's: it ends on the denoiser's
  output.
  """
  return heun(process, order=1)


def heun(
    process: Process, *, order: int = 2, churn: float = 0.0,
    churn_min: float = 0.0, churn_max: float = float('inf'),
    churn_noise: float = 1.0
) -> Sampler:
  """Heun's method in the process's time, with optional churn. Order 2.

  Karras et al., arXiv:2206.00364, algorithm 2, on any process (on `edm` time is
  sigma, as there). Steps to sigma = 0 are DDIM's, of first order. With churn,
  noise is added before a step where sigma / alpha is in [churn_min, churn_max].

  Args:
    process: the noise process.
    order: 2, or 1 for Euler's method.
    churn: S_churn, spread over the steps of the grid.
    churn_min: S_tmin.
    churn_max: S_tmax.
    churn_noise: S_noise.

  Raises:
    ValueError: an order other than 1 and 2; negative or empty churn.
  """
  check(order in (1, 2), 'heun', 'order must be 1 or 2', order)
  check(churn >= 0, 'heun', 'churn must not be negative', churn)
  check(churn_noise >= 0, 'heun', 'churn_noise must not be negative',
        churn_noise)
  check(churn_min <= churn_max, 'heun', 'churn_min must not exceed churn_max',
        (churn_min, churn_max))

  def add_noise(noise, x, t, gamma):
    noise_ratio = process.sigma(t) / process.alpha(t)
    inside = (noise_ratio >= churn_min) & (noise_ratio <= churn_max)
    raised = process.time(process.log_snr(t) - 2 * jnp.log1p(gamma))
    raised = jnp.where(inside, jnp.minimum(raised, process.t_max), t)
    scale, std = transition(process, t, raised)
    churned = inside & (raised > t)
    return (jnp.where(churned, scale * x + churn_noise * std * noise(), x),
            jnp.where(churned, raised, t))

  def step(noise, carry, x, denoiser, span):
    t, s = span.t, span.s
    if churn:
      x, t = add_noise(noise, x, t, min(churn / span.count, 2**0.5 - 1))
    x0 = denoiser(x, t)
    noisy = process.sigma(s) > 0

    def to_noise(_):
      slope = flow_velocity(process, x0, x, t)
      x_s = x + (s - t) * slope
      if order == 1:
        return x_s
      # Under vmap both branches run: no time at which slopes are infinite.
      end = jnp.where(noisy, s, t)
      return x + 0.5 * (s - t) * (
          slope + flow_velocity(process, denoiser(x_s, end), x_s, end))

    return carry, jax.lax.cond(
        noisy, to_noise, lambda _: toward(process, x, x0, t, s), None)

  return Sampler(lambda x: None, step)


def euler_maruyama(process: Process) -> Sampler:
  """Euler-Maruyama on the reverse SDE in the process's time.

  Song et al., arXiv:2011.13456, eq. 6, with the drift alpha' / alpha and the
  diffusion of `process`. Weak order 1. A step to sigma = 0 is DDIM's. Its drift
  is infinite where alpha = 0.
  """

  def step(noise, carry, x, denoiser, span):
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    sigma, alpha = process.sigma(t), process.alpha(t)
    d_alpha, _ = rates(process, t, 0)
    # g^2 = -sigma^2 d log_snr / dt.
    rise = -jax.jvp(process.log_snr, (t,), (jnp.ones_like(t),))[1]
    # g^2 score, without the sigma^2 that cancels.
    pull = rise * (alpha * x0 - x)
    x_s = x + (s - t) * (d_alpha / alpha * x - pull) + sigma * jnp.sqrt(
        rise * (t - s)) * noise()
    return carry, jnp.where(process.sigma(s) > 0, x_s,
                            toward(process, x, x0, t, s))

  return Sampler(lambda x: None, step, needs_alpha=True)


def _by_way_of_the_middle(
    process: Process, last: Callable[..., Array]
) -> Sampler:
  """Two evaluations a step, the second half-way in log-SNR.

  First order in steps from alpha = 0 or to sigma = 0, which have no middle.
  """

  def step(noise, carry, x, denoiser, span):
    del noise
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    half = 0.5 * (process.log_snr(t) + process.log_snr(s))
    finite = jnp.isfinite(half)

    def two(_):
      # Under vmap both branches run: no time at which anything is infinite.
      middle = process.time(jnp.where(finite, half, 0.0))
      x_middle = toward(process, x, x0, t, middle)
      x_s = last(x, x_middle, denoiser(x_middle, middle), t, middle, s)
      return jnp.where(finite, x_s, x)

    return carry, jax.lax.cond(
        finite, two, lambda _: toward(process, x, x0, t, s), None)

  return Sampler(lambda x: None, step)


def dpm_2(process: Process) -> Sampler:
  """DPM-Solver-2: the midpoint method in log-SNR on the noise. Order 2.

  Lu et al., arXiv:2206.00927, algorithm 1 with r = 1/2; on variance-exploding
  processes Karras's DPM2 without churn. Two evaluations a step.
  """

  def last(x, x_middle, x0, t, middle, s):
    eps = (x_middle - process.alpha(middle) * x0) / process.sigma(middle)
    scale = process.alpha(s) / process.alpha(t)
    return scale * x + (process.sigma(s) - scale * process.sigma(t)) * eps

  return _by_way_of_the_middle(process, last)


def dpm_solver_2s(process: Process) -> Sampler:
  """DPM-Solver++(2S): the midpoint method in log-SNR on x_0. Order 2.

  Lu et al., arXiv:2211.01095, algorithm 1 with r = 1/2. Two evaluations a step.
  """

  def last(x, x_middle, x0, t, middle, s):
    del x_middle, middle
    return toward(process, x, x0, t, s)

  return _by_way_of_the_middle(process, last)
