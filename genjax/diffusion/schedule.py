"""A noise schedule that is learned: VDM's monotone network of the time.

Kingma et al., arXiv:2107.00630, appendix H. Variance preserving on [0, 1];
between its ends the log-SNR falls along a network whose weights are positive.
The variational bound does not depend on the path between the ends (their eq.
18), only the variance of its estimate does: see `loss.make_loss`.
"""

import math
from typing import Callable

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_positive
from genjax.diffusion.process import from_schedules
from genjax.diffusion.times import even
from genjax.diffusion.times import invert
from genjax.diffusion.times import karras
from genjax.diffusion.times import LOG_SNR_LIMIT
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process

_ENDS = ('low', 'log_range')  # params, where the ends are learned

# Log-SNR at t = 1 and t = 0, nats.
Ends = tuple[float, float]


def init_schedule(
    key: Key, *, hidden: int = 64, ends: Ends | None = None
) -> dict[str, Array]:
  """Params of `learned`, near to a log-SNR that falls evenly.

  Args:
    key: of the hidden units, steps at even times of random steepness.
    hidden: how many there are.
    ends: log-SNR at t = 1 and t = 0 from which both are learned too; None
      where they are given to `learned`.

  Raises:
    ValueError: numbers out of range.
  """
  check_positive('init_schedule', 'hidden', hidden)
  slope = 4 + 12 * jax.random.uniform(key, (hidden,))
  centre = (jnp.arange(hidden) + 0.5) / hidden
  # Together they rise about as much as the straight line does.
  params = {'line': jnp.zeros(()), 'slope': _inverse_softplus(slope),
            'bias': -slope * centre,
            'height': jnp.full(hidden, _inverse_softplus(jnp.log(2.) / hidden))}
  if ends is not None:
    low, high = _checked('init_schedule', ends)
    params |= {'low': jnp.asarray(low), 'log_range': jnp.log(high - low)}
  return params


def learned(ends: Ends | None = None) -> Callable[[Params], Process]:
  """(params) -> the process whose schedule is params['schedule'].

  It is trained at even times, through which the schedule decides the levels,
  and sampled on Karras's levels between its ends where these are known, and at
  even times where they are learned.

  Args:
    ends: log-SNR at t = 1 and t = 0; None where they are in the params.

  Raises:
    ValueError: ends out of order or beyond +-20.
  """
  if ends is not None:
    _checked('learned', ends)

  def process_of(params: Params) -> Process:
    schedule = params['schedule']

    def share(t: Array) -> Array:
      return _rise(schedule, t) / _rise(schedule, jnp.ones_like(t))

    low = schedule['low'] if ends is None else ends[0]
    span = (jnp.exp(schedule['log_range']) if ends is None
            else ends[1] - ends[0])

    def log_snr(t: Array) -> Array:
      return low + span * (1 - share(t))

    return from_schedules(
        alpha=lambda t: jnp.sqrt(jax.nn.sigmoid(log_snr(t))),
        sigma=lambda t: jnp.sqrt(jax.nn.sigmoid(-log_snr(t))),
        log_snr=log_snr,
        time=lambda level: invert(lambda t: -log_snr(t), -level, 0.0, 1.0),
        t_min=0.0, t_max=1.0, times=lambda p: widen,
        grid=even if ends is None else lambda p, num_steps: _ended(karras(
            p, num_steps + 1, sigma_min=math.exp(-0.5 * ends[1]),
            sigma_max=math.exp(-0.5 * ends[0]))))

  return process_of


def interior_stopped(params: Params) -> Params:
  """Params of a model, the schedule's but for its ends held still."""
  return {**params, 'schedule': {
      name: x if name in _ENDS else jax.lax.stop_gradient(x)
      for name, x in params['schedule'].items()}}


def interior_alone(params: Params) -> Params:
  """Params of a model, all but the schedule's between its ends held still."""
  stopped = jax.lax.stop_gradient(params)
  return {**stopped, 'schedule': stopped['schedule'] | {
      name: x for name, x in params['schedule'].items() if name not in _ENDS}}


def _rise(schedule: Params, t: Array) -> Array:
  """How far the network is at t above where it is at 0."""
  line, slope, height = (jax.nn.softplus(schedule[name])
                         for name in ('line', 'slope', 'height'))

  def steps(t: Array) -> Array:
    return jax.nn.sigmoid(slope * t[..., None] + schedule['bias'])

  above = steps(t) - steps(jnp.zeros_like(t))
  return line * t + jnp.sum(height * above, axis=-1)


def _ended(grid: Array) -> Array:
  """A grid from t = 1 to t = 0, exactly."""
  return grid.at[0].set(1.0).at[-1].set(0.0)


def _inverse_softplus(x: Array) -> Array:
  return jnp.log(jnp.expm1(x))


def _checked(where: str, ends: Ends) -> Ends:
  low, high = ends
  check(-LOG_SNR_LIMIT <= low < high <= LOG_SNR_LIMIT, where,
        f'ends must be two log-SNRs that rise, within +-{LOG_SNR_LIMIT:g}',
        ends)
  return ends
