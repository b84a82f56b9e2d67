"""Diffusion models of images or points as runs.

What a trained one can do is `diffusion_functions`'s to say.
"""

from typing import NamedTuple, Sequence

import jax

from genjax.checks import check
from genjax.diffusion import conditions
from genjax.diffusion import drawing
from genjax.diffusion import named
from genjax.diffusion.loss import evaluate
from genjax.diffusion.loss import make_loss
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.model import MakeDenoiser
from genjax.diffusion.samplers import check_start
from genjax.diffusion.times import check_grid
from genjax.diffusion.weighting import Weighting
from genjax.runs import keys
from genjax.runs.diffusion_functions import make_functions
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.diffusion_settings import RECIPES
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.training import averages
from genjax.training.loop import Hook
from genjax.training.optimizers import make_optimizer
from genjax.types import LossFn
from genjax.types import Process


class Parts(NamedTuple):
  """What a diffusion run consists of."""

  diffusion: Diffusion
  process: Process  # that of `diffusion`, whose schedule is fixed
  weighting: Weighting
  draw: drawing.Draw


def build(settings: Settings) -> Model:
  """The model; its parts are `Parts`.

  Raises:
    ValueError: parts that do not fit together.
  """
  made = named.make(named.Parts(num_classes=num_classes(settings), **{
      name: getattr(settings, name) for name in named.Parts._fields
      if name != 'num_classes'}))
  check(len(settings.shape) > 1 or not settings.horizontal_flip,
        'horizontal_flip', 'must be false for points: it needs images', True)
  parts = Parts(made.diffusion, made.process, made.weighting, make_draw(
      settings, make_denoiser(made.diffusion), made.process))
  return Model(lambda key, batch: made.init(key),
               make_functions(settings, parts.diffusion, parts.process,
                              parts.draw),
               {'ema': averages.ema(settings.ema_decay)}, parts)


def make_draw(
    settings: Settings, denoiser: MakeDenoiser, process: Process
) -> drawing.Draw:
  """Noise to data by the sampler, steps and guidance of the settings.

  Raises:
    ValueError: a grid that the process has not; guidance of a model that is
      told nothing.
  """
  check(settings.guidance == 1 or num_classes(settings) is not None, 'guidance',
        'must be 1 for an unconditional model', settings.guidance)
  low, high = settings.guidance_log_snr
  check(low < high, 'guidance_log_snr', 'must be two numbers that rise',
        settings.guidance_log_snr)
  sampler = named.make_sampler(settings.sampler, process, eta=settings.eta,
                               churn=settings.churn, tau=settings.tau)
  grid = check_grid(process, process.grid(settings.sampling_steps))
  check_start('sampler', sampler, process, grid)
  return drawing.make_draw(
      denoiser, process, sampler, grid, settings.shape,
      data_std=settings.data_std,
      guided=drawing.Guidance(settings.guidance, low, high))


def _loss_fn(settings: Settings, parts: Parts, *, train: bool) -> LossFn:
  """The training loss, or the same without dropout, for test data."""
  null = None if num_classes(settings) is None else conditions.null
  return make_loss(parts.diffusion, weighting=parts.weighting, null=null,
                   drop=settings.label_dropout if null and train else 0.0,
                   train=train)


def loss(settings: Settings, model: Model) -> Objective:
  """The denoising loss, and the optimizer."""
  return Objective(
      _loss_fn(settings, model.parts, train=True),
      make_optimizer(settings.learning_rate, settings.steps, b2=settings.b2,
                     warmup_steps=min(settings.warmup, settings.steps - 1)),
      flip=settings.horizontal_flip)


def hooks(session: Session) -> Sequence[Hook]:
  """The loss on test data, by noise level too, of the averaged weights."""
  settings, source = session.settings, getattr(session.data, 'test', None)
  if source is None:
    return []
  loss_fn = jax.jit(_loss_fn(settings, session.model.parts, train=False))
  size = min(len(source), 4 * settings.batch_size)

  def hook(state, step):
    del step
    # One key for every step: the curve then shows the model, not the noise.
    found = evaluate(loss_fn, state.averages['ema'],
                     keys.key(settings.seed, 'test'), source, size)
    return {f'test/{name}': value for name, value in found.items()}

  return [Hook(settings.save_every, hook)]


TASK = Task('diffusion', Settings, RECIPES, build, loss, hooks)
