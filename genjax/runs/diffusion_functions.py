"""What a diffusion run can do: draw, score, encode, decode.

`sample` draws by the sampler, steps and guidance of the settings, of classes
drawn at random where the model is told some and no condition says which.
`log_prob` is the log-density of x as the model is given it, without guidance,
by the probability-flow ODE from the least noise of the settings up; see
`likelihood.log_likelihood` for what that noise costs. `encode` gives the noise
to which the probability-flow ODE takes an example, at unit scale; `decode` goes
back. All of these are told no class where there is no condition, and under
shares of classes go by the denoisers of the two largest, mixed.
"""

import functools
import math
from typing import Callable

import jax

from genjax.checks import check
from genjax.diffusion import codes
from genjax.diffusion import distribution
from genjax.diffusion import drawing
from genjax.diffusion import guidance
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.runs import keys
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Functions
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape

_STEPS = 16  # of the ODE in log_prob: of digits 1e-4 nats a dimension off


def make_flow(settings: Settings, process: Process) -> codes.Flow:
  """Data to codes and back in the sampling steps of the settings."""
  return codes.make_flow(
      process, settings.sampling_steps, data_std=settings.data_std,
      sigma_min=settings.sigma_min, sigma_max=settings.sigma_max)


def density(settings: Settings) -> str:
  """What log_prob returns, in words."""
  exact = math.prod(settings.shape) <= distribution.EXACT
  return (f'nats, an estimate: by the flow from noise of {settings.sigma_min:g}'
          ' of the signal, its divergence ' + (
              'exact' if exact else f'by {distribution.EXACT} probes')
          + ', a density of x as it is given')


def make_functions(
    settings: Settings, model: Diffusion, draw: drawing.Draw
) -> Callable[[Params], Functions]:
  """(params) -> what a model of the settings can do.

  Args:
    settings: of the run.
    model: the model.
    draw: how it draws.
  """
  classes = num_classes(settings)
  denoiser = guidance.mixing(make_denoiser(model))

  def told(where: str, cond: Cond | None) -> Cond | None:
    check(cond is None or classes is not None, where,
          'cond must be None for a model that is told no class', cond)
    return cond

  @functools.partial(jax.jit, static_argnames='back')
  def coded(params: Params, x: Array, cond: Cond | None, back: bool) -> Array:
    flow = make_flow(settings, model.process_of(params))
    return (flow.decode if back else flow.encode)(denoiser(params, cond), x)

  @jax.jit
  def scored(params: Params, x: Array, cond: Cond | None) -> Array:
    law = distribution.as_distribution(
        model, keys.key(settings.seed, 'log_prob'), shape=settings.shape,
        num_steps=_STEPS, sigma_min=settings.sigma_min)
    return law.log_prob(distribution.DiffusionParams(params, cond), x)

  def functions(params: Params) -> Functions:

    def sample(key: Key, shape: Shape = (), cond: Cond | None = None) -> Array:
      return drawing.sample(draw, params, key, shape, told('sample', cond),
                            classes)

    return Functions(
        sample=sample,
        log_prob=lambda x, cond=None: scored(params, x, told('log_prob', cond)),
        encode=lambda x, cond=None: coded(
            params, x, told('encode', cond), False),
        decode=lambda z, cond=None: coded(
            params, z, told('decode', cond), True),
        denoiser=lambda cond=None: denoiser(params, told('denoiser', cond)),
        density=density(settings))

  return functions
