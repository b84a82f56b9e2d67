"""Diffusion models of images or points as runs.

What a trained one can do is `diffusion_functions`'s to say.
"""

import functools
from typing import NamedTuple

import jax

from genjax.checks import check
from genjax.diffusion import conditions
from genjax.diffusion import drawing
from genjax.diffusion import named
from genjax.diffusion import uncertainty
from genjax.diffusion.loss import make_loss
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.samplers import check_start
from genjax.diffusion.weighting import Weighting
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.diffusion_functions import make_functions
from genjax.runs.diffusion_functions import sampler_of
from genjax.runs.diffusion_progress import hooks
from genjax.runs.diffusion_progress import with_noise
from genjax.runs.diffusion_settings import is_told
from genjax.runs.diffusion_settings import parts_of
from genjax.runs.diffusion_settings import RECIPES
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Task
from genjax.training import averages
from genjax.training.optimizers import make_optimizer
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Context
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Metrics
from genjax.types import Params
from genjax.types import Process


class Parts(NamedTuple):
  """What a diffusion run consists of."""

  diffusion: Diffusion
  process: Process | None  # that of `diffusion` if its schedule is fixed
  weighting: Weighting
  draw: drawing.Draw


def build(settings: Settings) -> Model:
  """The model; its parts are `Parts`.

  Raises:
    ValueError: parts that do not fit together.
  """
  made = named.make(parts_of(settings))
  images = len(settings.shape) == 3
  check(images or not settings.horizontal_flip,
        'horizontal_flip', 'must be false for points: it needs images', True)
  check(settings.crop == 0 or images and (
      settings.crop < min(settings.shape[:2])), 'crop', 'must be less than the '
        'sides of an image, and 0 for others', settings.crop)
  check(settings.augment == 0 or images and min(settings.shape[:2]) > 1,
        'augment', 'must be 0 but for images of more than 1 pixel a side',
        settings.augment)
  check(settings.scored == 0 or settings.scored >= 20, 'scored',
        'must be 0, or 20 or more', settings.scored)
  check(len(settings.shape) > 1 or settings.scored == 0, 'scored', 'must be 0 '
        'for points: it needs images or signals', settings.scored)
  check(len(settings.shape) > 1 or not settings.dequantise, 'dequantise',
        'must be false for points, which have no levels', True)
  check(settings.levels is not None or not settings.dequantise, 'levels',
        'must be given where pixels are dequantised', None)
  parts = Parts(made.diffusion, made.process, made.weighting, make_draw(
      settings, make_denoiser(made.diffusion), made.diffusion.process_of))

  def refuse(key: Key) -> None:
    params = {'schedule': made.init_schedule(key)}
    process = made.diffusion.process_of(params)
    check_start('sampler', sampler_of(settings, process), process,
                parts.draw.times(params))

  # What sampler and grid are refused for is said before anything is compiled.
  if made.process is None:
    jax.eval_shape(refuse, jax.random.key(0))
  else:
    refuse(jax.random.key(0))
  return Model(lambda key, batch: made.init(key),
               make_functions(settings, parts.diffusion, parts.draw),
               averages.named(settings.ema_decay, settings.ema_widths), parts)


def _loss_fn(settings: Settings, parts: Parts) -> LossFn:
  told = is_told(settings)
  null = conditions.null if told or settings.augment else None
  drawn = settings.times == 'importance'
  of_levels = make_loss(
      parts.diffusion, weighting=parts.weighting, null=null,
      drop=settings.label_dropout if told else 0.0,
      times_of=uncertainty.times_of if drawn else None,
      uncertainty=(uncertainty.log_size if settings.uncertainty or drawn
                   else None),
      balanced=settings.uncertainty, least_variance=parts.process is None)

  def loss_fn(
      params: Params, key: Key, batch: Batch, context: Context
  ) -> tuple[Array, Metrics]:
    key, batch = with_noise(settings, key, batch)
    if settings.augment and not told:
      batch = {**batch, 'cond': {'augment': batch['cond']['augment']}}
    return of_levels(params, key, batch, context)

  return loss_fn


def loss(settings: Settings, model: Model) -> Objective:
  """The denoising loss, and the optimizer."""
  return Objective(
      _loss_fn(settings, model.parts),
      make_optimizer(settings.learning_rate, settings.steps,
                     name=settings.optimizer, b2=settings.b2,
                     warmup_steps=min(settings.warmup, settings.steps - 1)),
      flip=settings.horizontal_flip, crop=settings.crop,
      augment=settings.augment, init_from=settings.init_from)


TASK = Task('diffusion', Settings, RECIPES, functools.lru_cache(4)(build), loss,
            hooks)
