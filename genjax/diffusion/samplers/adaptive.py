"""The probability flow by adaptive steps."""

import jax
import jax.numpy as jnp

from genjax.checks import check_positive
from genjax.diffusion import fields
from genjax.diffusion.samplers.one_step import toward
from genjax.diffusion.samplers.solve import Sampler
from genjax.types import Process

_BATCH = 'batch'  # the axis of the samples


def adaptive(
    process: Process, *, rtol: float = 1e-3, atol: float = 1e-3,
    max_steps: int = 4096
) -> Sampler:
  """Tsitouras's pair of order 5(4) within each step of the grid.

  arXiv:2011.13456, section 4.3, in the process's time, by diffrax; usually on a
  grid of few steps, as of one to a time next to the data and one to sigma = 0,
  which is DDIM's. Every sample has steps of its own, so that it does not depend
  on the batch. What the sampler remembers is the number of evaluations [B].

  Args:
    process: the noise process.
    rtol: relative tolerance of the error of a step.
    atol: absolute tolerance, in the unit of x.
    max_steps: within one step of the grid; with more, x is NaN.

  Raises:
    ValueError: a number that is not positive.
  """
  for name, value in (('rtol', rtol), ('atol', atol), ('max_steps', max_steps)):
    check_positive('adaptive', name, value)
  import diffrax  # heavy, and of use here alone

  solver = diffrax.Tsit5()
  controller = diffrax.PIDController(rtol=rtol, atol=atol)

  def step(noise, evaluations, x, denoiser, span):
    del noise
    t, s = span.t, span.s
    noisy = process.sigma(s) > 0
    end = jnp.where(noisy, s, 0.5 * (t + s))

    # Of one sample, at a time of its own; but the denoiser, which may hold a
    # condition of each, is asked about all of them together.
    def slope(t, x, _):
      xs, ts = (jax.lax.all_gather(a, _BATCH) for a in (x, jnp.asarray(t)))
      slopes = fields.velocity(process, denoiser, xs, ts)
      return slopes[jax.lax.axis_index(_BATCH)]

    def one(x):
      solution = diffrax.diffeqsolve(
          diffrax.ODETerm(slope), solver, t, end, None, x,
          stepsize_controller=controller, max_steps=max_steps, throw=False)
      right = solution.result == diffrax.RESULTS.successful
      # Six a step, for its last stage is the first of the next, and one that
      # the length of the first is chosen by.
      return (jnp.where(right, solution.ys[0], jnp.nan),
              6 * solution.stats['num_steps'] + 1)

    def many(_):
      moved, more = jax.vmap(one, axis_name=_BATCH)(x)
      return evaluations + more, moved

    def last(_):
      return evaluations + 1, toward(process, x, denoiser(x, t), t, s)

    return jax.lax.cond(noisy, many, last, None)

  return Sampler(lambda x: jnp.zeros(x.shape[0], int), step)
