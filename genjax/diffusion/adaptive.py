"""An ODE solver that chooses its steps, for all rows of a batch together."""

from typing import Callable

import jax.numpy as jnp

from genjax.types import Array


def solve(
    slope: Callable[[Array, Array], Array], state: Array, start: Array,
    end: Array, *, tolerance: float, max_steps: int = 4096
) -> Array:
  """The state at `end` > `start` of d state / dt = slope(state, t).

  By Dormand and Prince's pair of order 5(4),
  https://doi.org/10.1016/0771-050X(80)90013-3, in diffrax. Steps are as long as
  the error of each allows: the root of its mean square over the N entries of a
  row, each in units of tolerance (1 + |entry|), is at most 1 in every row.

  Args:
    slope: (state [B, N], t []) -> [B, N], of each row alone.
    state: [B, N] at `start`.
    start, end: of t, [].
    tolerance: absolute and relative.
    max_steps: the most that are taken.

  Returns:
    [B, N]; NaN in rows that are not finite at the start, which have no say in
    the steps, and in all where `end` is not reached.
  """
  import diffrax  # heavy, and of use here alone

  fine = jnp.all(jnp.isfinite(state), axis=1, keepdims=True)

  def worst(error: Array) -> Array:
    return jnp.max(jnp.sqrt(jnp.mean(jnp.square(error), axis=1)), initial=0.0)

  solution = diffrax.diffeqsolve(
      diffrax.ODETerm(lambda t, state, _: slope(state, jnp.asarray(t))),
      diffrax.Dopri5(),
      jnp.asarray(start, state.dtype), jnp.asarray(end, state.dtype), None,
      jnp.where(fine, state, 0.0), max_steps=max_steps, throw=False,
      stepsize_controller=diffrax.PIDController(
          rtol=tolerance, atol=tolerance, norm=worst))
  reached = solution.result == diffrax.RESULTS.successful
  return jnp.where(fine & reached, solution.ys[0], jnp.nan)
