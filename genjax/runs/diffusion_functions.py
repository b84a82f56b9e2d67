"""What a diffusion run can do: draw, score, encode, decode.

`sample` draws by the sampler, steps and guidance of the settings, of classes
drawn at random where the model is told some and no condition says which.
`log_prob` is the log-density of x as the model is given it, without guidance,
by the probability-flow ODE from the least noise of the settings up; see
`likelihood.log_likelihood` for what that noise costs. `encode` gives the noise
to which the probability-flow ODE takes an example, at unit scale; `decode` goes
back. All of these are told nothing where there is no condition, and under
shares of classes go by the denoisers of the two largest, mixed. Numbers beside
a class are told in their own units, as `vector`, float [B, V]; where a
condition does not hold them, they are the means of the training data.
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
from genjax.diffusion import named
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion.guided import check_guidance
from genjax.diffusion.guided import Guidance
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.model import MakeDenoiser
from genjax.diffusion.model import ProcessOf
from genjax.runs import keys
from genjax.runs.diffusion_settings import is_told
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


def make_draw(
    settings: Settings, denoiser: MakeDenoiser, process_of: ProcessOf
) -> drawing.Draw:
  """Noise to data by the sampler, steps and guidance of the settings.

  Raises:
    ValueError: guidance of a model that is told nothing.
  """
  check(settings.guidance == 1 or is_told(settings), 'guidance',
        'must be 1 for an unconditional model', settings.guidance)
  low, high = settings.guidance_log_snr
  guided = Guidance(
      settings.guidance, low, high, settings.guidance_method,
      settings.guidance_eta, settings.guidance_limit,
      settings.guidance_momentum, settings.guidance_share,
      settings.guidance_still)
  check_guidance('guidance_log_snr', guided)
  check(settings.rho is None or settings.process not in named.LEARNED, 'rho',
        'must be absent for a learned process', settings.rho)
  return drawing.make_draw(
      denoiser, process_of, functools.partial(sampler_of, settings),
      functools.partial(_grid_of, settings), settings.shape,
      data_std=settings.data_std,
      guided=guided if is_told(settings) else guided._replace(still=0))


def sampler_of(settings: Settings, process: Process) -> samplers.Sampler:
  """The method by which a run draws."""
  return named.make_sampler(settings.sampler, process, eta=settings.eta,
                            churn=settings.churn, tau=settings.tau)


def _grid_of(settings: Settings, process: Process) -> Array:
  if settings.rho is None:
    return process.grid(settings.sampling_steps)
  return times.to_no_noise(process, settings.sampling_steps, rho=settings.rho)


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
    check(cond is None or is_told(settings), where,
          'cond must be None for a model that is told nothing', cond)
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
