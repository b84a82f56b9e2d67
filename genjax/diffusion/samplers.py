"""Samplers: each a step from t to s < t, and the one scan that runs them.

Steps are written x_s = (sigma_s / sigma_t) x_t + (alpha_s - alpha_t sigma_s /
sigma_t) x_0, which is finite where alpha_t = 0 and where sigma_s = 0.

State, carry and times are float32, or float64 where x is, whatever the dtype
of x: levels would be one in bfloat16, and its roundings add up over the steps.
"""

from typing import Any, Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_index
from genjax.checks import check_order
from genjax.diffusion.process import flow_velocity
from genjax.diffusion.process import transition
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process


class Span(NamedTuple):
  """One step of a grid: from t to s, the number `index` of `count`."""

  t: Array  # []
  s: Array  # []; below t, and above it where x is encoded
  # They hide tuple.index and tuple.count, which nobody needs of a span.
  index: Array  # type: ignore[assignment]  # [] int32, 0..count - 1
  count: int  # type: ignore[assignment]  # of the grid's steps, static


class Step(Protocol):
  """One step of a solver: x [B, ...] at span.t to x at span.s.

  `keys` [B] holds one key a sample, so that noise does not depend on the batch
  size; `carry` is what a multistep method remembers.
  """

  def __call__(
      self, keys: Key, carry: Any, x: Array, denoiser: Denoiser, span: Span
  ) -> tuple[Any, Array]:
    ...


class Sampler(NamedTuple):
  """A solver of the reverse process, said as two pure functions."""

  init: Callable[[Array], Any]  # x [B, ...] -> carry
  step: Step  # (keys, carry, x, denoiser, span) -> (carry, x at span.s)


class Sampled(NamedTuple):
  """What a sampler ends with."""

  x: Array  # [B, ...] at the last time
  carry: Any  # what the sampler remembers then, float32 or wider
  states: Array | None  # [T + 1, B, ...] at every time, if asked for


def sample(
    key: Key, sampler: Sampler, denoiser: Denoiser, x: Array, times: Array, *,
    index: Array | None = None, trajectory: bool = False
) -> Sampled:
  """Runs the reverse process from x at times[0] to times[-1].

  Not jitted: jit a function of (params, key, x, times, cond) around it, and new
  values of these never recompile.

  Args:
    key: folded with each sample's index, then with the step.
    sampler: the method.
    denoiser: (x, t) -> E[x_0 | x_t]; never evaluated at the last time. It is
      given x in the dtype of `x`, and t in float32 or wider.
    x: [B, ...] at times[0], see `prior_sample`; whole numbers are taken as
      float32.
    times: [T + 1] strictly decreasing, of any dtype; the last may have
      sigma = 0. What else a grid must be is `check_grid`'s to say.
    index: [B] sample indices; 0..B-1 where absent.
    trajectory: whether to return every state.

  Returns:
    x [B, ...] at times[-1], what the sampler remembers, and with `trajectory`
    all states [T + 1, B, ...], the first being x; x and states of the dtype of
    x. NaN where times are traced and do not decrease.

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and not decreasing;
      index is not [B].
  """
  _check_shape('sample', times)
  times = check_order('sample', 'times', widen(times), falling=True)
  return _solve('sample', key, sampler, denoiser, x, times, index, trajectory)


def _check_shape(where: str, times: Array) -> None:
  check(times.ndim == 1 and times.shape[0] >= 2, where,
        'times must be [T + 1] with T >= 1', f'shape {times.shape}')


def _solve(where: str, key: Key, sampler: Sampler, denoiser: Denoiser, x: Array,
           times: Array, index: Array | None, trajectory: bool) -> Sampled:
  """`sample` along times in either direction."""
  x = jnp.asarray(x, jnp.result_type(x, float))
  given, x = x.dtype, widen(x)
  times = times.astype(x.dtype)
  index = jnp.arange(x.shape[0]) if index is None else index
  check_index(where, index, x.shape[0])
  keys, count = fold_in_each(key, index), times.shape[0] - 1

  def denoise(x: Array, t: Array) -> Array:
    return denoiser(x.astype(given), t).astype(x.dtype)

  def body(state, inputs):
    carry, x = state
    step, t, s = inputs
    step_keys = jax.vmap(lambda k: jax.random.fold_in(k, step))(keys)
    state = sampler.step(step_keys, carry, x, denoise, Span(t, s, step, count))
    return state, state[1] if trajectory else None

  steps = jnp.arange(count)
  (carry, last), states = jax.lax.scan(
      body, (sampler.init(x), x), (steps, times[:-1], times[1:]))
  if trajectory:
    states = jnp.concatenate([x[None], states]).astype(given)
  return Sampled(last.astype(given), carry, states)


def encode(
    sampler: Sampler, denoiser: Denoiser, x: Array, times: Array
) -> Sampled:
  """The code of x: the probability-flow ODE from times[-1] up to times[0].

  Song et al., arXiv:2011.13456, sec. 4.3. `sample` from the code, by a method
  without noise and on the same grid, gives x back to the error of the solver.

  Args:
    sampler: ddim, euler, heun or dpm_solver_2m; with noise in it NaN or wrong.
    denoiser: (x, t) -> E[x_0 | x_t]; evaluated at times[-1], and by heun at
      times[0].
    x: [B, ...] at times[-1]: alpha times the data, where noise is too little
      to show.
    times: [T + 1] strictly decreasing, as of `sample`. sigma is positive at the
      last, or the code is NaN: there every noise leads to the same x.

  Returns:
    The code [B, ...] at times[0] as its x, with the dtypes and NaN of `sample`.

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and not decreasing.
  """
  unused = jax.random.key(0)
  _check_shape('encode', times)
  upwards = check_order('encode', 'times', widen(times), falling=True)[::-1]
  return _solve('encode', unused, sampler, denoiser, x, upwards, None, False)


def _toward(process: Process, x: Array, x0: Array, t: Array, s: Array) -> Array:
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

  def step(keys, carry, x, denoiser, span):
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    if eta == 0:
      return carry, _toward(process, x, x0, t, s)
    # The share of x_s's noise that is drawn afresh, at eta = 1: 1 - SNR_t/SNR_s
    fresh = -jnp.expm1(process.log_snr(t) - process.log_snr(s))
    sigma_s, alpha_s = process.sigma(s), process.alpha(s)
    ratio = sigma_s * jnp.sqrt(1 - eta**2 * fresh) / process.sigma(t)
    std = eta * sigma_s * jnp.sqrt(fresh)
    noise = normal_each(keys, x.shape[1:], x.dtype)
    mean = ratio * x + (alpha_s - process.alpha(t) * ratio) * x0
    return carry, mean + std * noise

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

  def add_noise(keys, x, t, gamma):
    noise_ratio = process.sigma(t) / process.alpha(t)
    inside = (noise_ratio >= churn_min) & (noise_ratio <= churn_max)
    raised = process.time(process.log_snr(t) - 2 * jnp.log1p(gamma))
    raised = jnp.where(inside, jnp.minimum(raised, process.t_max), t)
    scale, std = transition(process, t, raised)
    noise = churn_noise * normal_each(keys, x.shape[1:], x.dtype)
    churned = inside & (raised > t)
    return (jnp.where(churned, scale * x + std * noise, x),
            jnp.where(churned, raised, t))

  def step(keys, carry, x, denoiser, span):
    t, s = span.t, span.s
    if churn:
      x, t = add_noise(keys, x, t, min(churn / span.count, 2**0.5 - 1))
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
        noisy, to_noise, lambda _: _toward(process, x, x0, t, s), None)

  return Sampler(lambda x: None, step)


def dpm_solver_2m(process: Process) -> Sampler:
  """DPM-Solver++(2M): Lu et al., arXiv:2211.01095, algorithm 2. Order 2.

  One evaluation a step: extrapolates the x_0 prediction, in log-SNR, from the
  step before. First order in its first step, and in steps from alpha = 0 or to
  sigma = 0, where the step in log-SNR is infinite.
  """

  def init(x):
    # An earlier prediction infinitely far back weighs nothing.
    return jnp.zeros_like(x), jnp.asarray(-jnp.inf, x.dtype)

  def step(keys, carry, x, denoiser, span):
    del keys
    t, s = span.t, span.s
    x0_before, log_snr_before = carry
    x0 = denoiser(x, t)
    log_snr_t, log_snr_s = process.log_snr(t), process.log_snr(s)
    ahead, back = log_snr_s - log_snr_t, log_snr_t - log_snr_before
    # 1 / (2 r) of the paper; either interval may be infinite.
    weight = jnp.where(jnp.isfinite(ahead) & jnp.isfinite(back),
                       0.5 * ahead / back, 0.0)
    extrapolated = x0 + weight * (x0 - x0_before)
    return (x0, log_snr_t), _toward(process, x, extrapolated, t, s)

  return Sampler(init, step)
