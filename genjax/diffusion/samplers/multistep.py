"""Samplers that remember: one evaluation of the denoiser a step.

All are exponential: the denoiser's output is continued along the step by the
polynomial through what it was at earlier times, and the flow under that is
exact. What is left of the polynomial is its mean over the step, by weights that
add up to 1: so a constant denoiser makes all of them exact.
"""

from typing import NamedTuple

import jax.numpy as jnp

from genjax.checks import check
from genjax.diffusion.samplers.one_step import toward
from genjax.diffusion.samplers.solve import Sampler
from genjax.numerics import broadcast_right
from genjax.types import Array
from genjax.types import Process

_TERMS = 18  # of a series that is summed below 1: the next is under 1e-16


class History(NamedTuple):
  """The last K steps, the latest first; times are infinite where none was."""

  times: Array  # [K]
  x: Array  # [K, B, ...], the states that steps began from
  x0: Array  # [K, B, ...], the denoiser's output there


def no_history(x: Array, size: int) -> History:
  """That before the first step from x [B, ...]."""
  none = jnp.zeros((size, *x.shape), x.dtype)
  return History(jnp.full(size, jnp.inf, x.dtype), none, none)


def _with_now(past: History, t: Array, x: Array, x0: Array) -> History:
  """`past` and the step that begins: K + 1."""
  return History(*(jnp.concatenate([jnp.asarray(new, old.dtype)[None], old])
                   for new, old in zip((t, x, x0), past)))


def _without_oldest(now: History) -> History:
  return History(*(a[:-1] for a in now))


def _with_signal_and_noise(
    process: Process, times: Array
) -> tuple[Array, Array]:
  """Times whose log-SNR is finite, and whether they are those given.

  The others are replaced, where no step was, alpha is 0 or sigma is 0: so that
  gradients, too, are numbers.
  """
  some, was = 0.5 * (process.t_min + process.t_max), jnp.isfinite(times)
  there = was & jnp.isfinite(process.log_snr(jnp.where(was, times, some)))
  return jnp.where(there, times, some), there


def _moments(z: Array, num: int) -> list[Array]:
  """Means of v^k, k = 0..num - 1, over v in [0, 1] of density ~ exp(z v)."""
  series = []
  for k in range(num):
    total, term = jnp.zeros_like(z), jnp.ones_like(z)
    for j in range(_TERMS):
      total, term = total + term / (k + j + 1), term * z / (j + 1)
    series.append(total)
  small = jnp.abs(z) < 1
  far = jnp.where(small, 1.0, z)
  # exp(-z) times the integrals, each from the one before.
  parts = [-jnp.expm1(-far) / far]
  for k in range(1, num):
    parts.append((1 - k * parts[-1]) / far)
  return [jnp.where(small, a / series[0], b / parts[0])
          for a, b in zip(series, parts)]


def _mean_weights(
    nodes: Array, there: Array, moments: list[Array]
) -> Array:
  """Weights [K] of values at `nodes` in the mean of their interpolant.

  Args:
    nodes: [K].
    there: [K], whether a node counts; weight 0 where not.
    moments: means of v^k, k = 0..K - 1.
  """
  num, weights = len(nodes), []
  for j in range(num):
    # Coefficients of Lagrange's polynomial, the constant first.
    poly = jnp.zeros(num, nodes.dtype).at[0].set(1.0)
    for i in range(num):
      if i != j:
        gap = jnp.where(there[i] & there[j], nodes[j] - nodes[i], 1.0)
        longer = (jnp.roll(poly, 1) - nodes[i] * poly) / gap
        poly = jnp.where(there[i], longer, poly)
    weights.append(jnp.where(there[j], poly @ jnp.stack(moments), 0.0))
  return jnp.stack(weights)


def _mean(weights: Array, values: Array) -> Array:
  return jnp.tensordot(weights, values, axes=1)


def _mean_x0(
    process: Process, times: Array, values: Array, t: Array, s: Array, *,
    rate: float = 1.0, midpoint: bool = False
) -> Array:
  """Mean of x_0's interpolant in log-SNR over the step from t to s.

  Weighed as the flow under it does, by exp(rate (lambda - lambda_s)), with
  lambda half the log-SNR; without weight if `midpoint`. Where the step in
  log-SNR is infinite, the latest of the values at t.

  Args:
    process: the noise process.
    times: [K] of the values; `t` is one of them.
    values: [K, B, ...].
    t: [], the beginning.
    s: [], the end.
    rate: 1 of the probability flow.
    midpoint: takes the mean for the value half-way.
  """
  (start, starts), (end, ends), (safe, there) = (
      _with_signal_and_noise(process, time) for time in (t, s, times))
  here, at_end, levels = (0.5 * process.log_snr(time)
                          for time in (start, end, safe))
  step = jnp.where(starts & ends, at_end - here, 1.0)
  nodes = (levels - here) / step
  there = jnp.where(starts & ends, there, times == t)
  moments = _moments(rate * step, len(nodes))
  if midpoint:
    moments[1] = jnp.full_like(step, 0.5)
  return _mean(_mean_weights(nodes, there, moments), values)


def _exponential(
    process: Process, order: int, *, tau: float = 0.0, midpoint: bool = False,
    corrector: bool = False
) -> Sampler:
  """Adams's exponential methods on x_0 in log-SNR, of `order` evaluations.

  tau is the noise of the SDE, 0 of the probability flow: arXiv:2309.05019,
  proposition 4.2.
  """
  rate = 1 + tau**2

  def step(noise, past, x, denoiser, span):
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    if corrector:
      x = _corrected(process, _with_now(past, t, x, x0))
    now = _with_now(past, t, x, x0)
    mean = _mean_x0(process, now.times[:order], now.x0[:order], t, s, rate=rate,
                    midpoint=midpoint)
    past = _without_oldest(now)
    if not tau:
      return past, toward(process, x, mean, t, s)
    ahead = process.log_snr(s) - process.log_snr(t)
    kept = process.sigma(s) / process.sigma(t) * jnp.exp(-tau**2 / 2 * ahead)
    fresh = -jnp.expm1(-rate / 2 * ahead)
    std = process.sigma(s) * jnp.sqrt(-jnp.expm1(-tau**2 * ahead))
    return past, kept * x + process.alpha(s) * fresh * mean + std * noise()

  return Sampler(
      lambda x: no_history(x, order if corrector else order - 1), step)


def _corrected(process: Process, now: History) -> Array:
  """x at the latest time, from the one before by all that is known now."""
  t, before = now.times[0], now.times[1]
  start, again = _with_signal_and_noise(process, before)
  mean = _mean_x0(process, now.times, now.x0, start, t)
  return jnp.where(again, toward(process, now.x[1], mean, start, t), now.x[0])


def dpm_solver_2m(process: Process) -> Sampler:
  """DPM-Solver++(2M): Lu et al., arXiv:2211.01095, algorithm 2. Order 2.

  Extrapolates the x_0 prediction, in log-SNR, from the step before. First order
  in its first step, and in steps from alpha = 0 or to sigma = 0, where the step
  in log-SNR is infinite.
  """
  return _exponential(process, 2, midpoint=True)


def dpm_solver_3m(process: Process) -> Sampler:
  """DPM-Solver++(3M): the same from the two steps before. Order 3.

  arXiv:2211.01095, section 4.2. The polynomial is the one through all three
  predictions; published code halves its second difference, which is of order 2.
  Of lower order in its first two steps, which leaves order 2 in all: order 3
  shows from starting values that are exact.
  """
  return _exponential(process, 3)


def dpm_solver_2m_sde(process: Process, *, tau: float = 1.0) -> Sampler:
  """SDE-DPM-Solver++(2M): dpm_solver_2m with noise.

  arXiv:2211.01095, section 5 (tau = 1), arXiv:2309.05019 for any tau. Its mean
  is of order 2; with tau = 0 it is dpm_solver_2m.

  Raises:
    ValueError: tau is negative.
  """
  check(tau >= 0, 'dpm_solver_2m_sde', 'tau must not be negative', tau)
  return _exponential(process, 2, tau=tau, midpoint=True)


def dpm_solver_3m_sde(process: Process, *, tau: float = 1.0) -> Sampler:
  """dpm_solver_3m with noise, as in dpm_solver_2m_sde.

  Raises:
    ValueError: tau is negative.
  """
  check(tau >= 0, 'dpm_solver_3m_sde', 'tau must not be negative', tau)
  return _exponential(process, 3, tau=tau)


def unipc(
    process: Process, *, order: int = 3, corrector: bool = True
) -> Sampler:
  """UniPC: Zhao et al., arXiv:2302.04867, algorithm 7, 8. Order p + 1.

  The predictor of `order` p alone is of order p. The corrector takes a step
  again once the denoiser is known at its end, by the same evaluation with which
  the next step begins, so that it costs nothing; the last step has none. The
  coefficients are the exact solution of the order conditions, eq. 5, so that
  B(h) drops out.

  Raises:
    ValueError: order is not 1, 2 or 3.
  """
  check(order in (1, 2, 3), 'unipc', 'order must be 1, 2 or 3', order)
  return _exponential(process, order, corrector=corrector)


def deis(process: Process, *, degree: int = 2) -> Sampler:
  """DEIS: Zhang & Chen, arXiv:2204.13902, rho-AB. Order degree + 1.

  The Adams-Bashforth method in sigma / alpha: the noise, not x_0, is continued
  by a polynomial. First order in its first step, and in steps from alpha = 0 or
  to sigma = 0.

  Raises:
    ValueError: degree is not 0, 1, 2 or 3.
  """
  check(degree in (0, 1, 2, 3), 'deis', 'degree must be 0, 1, 2 or 3', degree)

  def step(noise, past, x, denoiser, span):
    del noise
    t, s = span.t, span.s
    x0 = denoiser(x, t)
    now = _with_now(past, t, x, x0)
    at, there = _with_signal_and_noise(process, now.times)
    alpha, sigma = (broadcast_right(f(at), now.x.ndim)
                    for f in (process.alpha, process.sigma))
    eps = (now.x - alpha * now.x0) / sigma
    end, ends = _with_signal_and_noise(process, s)
    *ratios, last = jnp.exp(-0.5 * process.log_snr(jnp.append(at, end)))
    nodes = (jnp.stack(ratios) - ratios[0]) / (last - ratios[0])
    weights = _mean_weights(nodes, there, [
        jnp.full_like(t, 1 / (k + 1)) for k in range(degree + 1)])
    # Beside DDIM's step, which continues the last eps alone.
    pull = process.sigma(s) - process.alpha(s) * sigma[0] / alpha[0]
    more = jnp.where(there[0] & ends, pull * (_mean(weights, eps) - eps[0]),
                     0.0)
    return _without_oldest(now), toward(process, x, x0, t, s) + more

  return Sampler(lambda x: no_history(x, degree), step)
