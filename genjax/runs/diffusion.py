"""Diffusion models of images or points as runs.

What a trained one can do is `diffusion_functions`'s to say.
"""

import functools
from typing import Any, NamedTuple, Sequence

import jax

from genjax.checks import check
from genjax.data.levels import dequantise
from genjax.data.levels import on_levels
from genjax.diffusion import conditions
from genjax.diffusion import drawing
from genjax.diffusion import named
from genjax.diffusion import uncertainty
from genjax.diffusion.loss import evaluate
from genjax.diffusion.loss import make_loss
from genjax.diffusion.loss import of_each
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.samplers import check_start
from genjax.diffusion.weighting import Weighting
from genjax.runs import keys
from genjax.runs import lag
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.diffusion_functions import make_functions
from genjax.runs.diffusion_functions import sampler_of
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
  made = named.make(named.Parts(num_classes=num_classes(settings), **{
      name: getattr(settings, name) for name in named.Parts._fields
      if name != 'num_classes'}))
  check(len(settings.shape) > 1 or not settings.horizontal_flip,
        'horizontal_flip', 'must be false for points: it needs images', True)
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


def _loss_fn(settings: Settings, parts: Parts, *, train: bool) -> LossFn:
  """The training loss; or that of test data, without dropout and at the times
  of the process, and no more than the error."""
  null = None if num_classes(settings) is None else conditions.null
  options: dict[str, Any] = dict(null=null, train=train)
  if train:
    drawn = settings.times == 'importance'
    options |= dict(
        drop=settings.label_dropout if null else 0.0,
        times_of=uncertainty.times_of if drawn else None,
        uncertainty=(uncertainty.log_size if settings.uncertainty or drawn
                     else None),
        balanced=settings.uncertainty, least_variance=parts.process is None)
  of_levels = make_loss(parts.diffusion, weighting=parts.weighting, **options)
  if not settings.dequantise:
    return of_levels
  levels: Any = settings.levels  # known, see `build`

  def dequantised(
      params: Params, key: Key, batch: Batch, context: Context
  ) -> tuple[Array, Metrics]:
    key_noise, key_loss = jax.random.split(key)
    x = dequantise(key_noise, on_levels(batch['x'], levels), batch['index'],
                   levels)
    return of_levels(params, key_loss, {**batch, 'x': x}, context)

  return dequantised


def loss(settings: Settings, model: Model) -> Objective:
  """The denoising loss, and the optimizer."""
  return Objective(
      _loss_fn(settings, model.parts, train=True),
      make_optimizer(settings.learning_rate, settings.steps, b2=settings.b2,
                     warmup_steps=min(settings.warmup, settings.steps - 1)),
      flip=settings.horizontal_flip, init_from=settings.init_from)


def hooks(session: Session) -> Sequence[Hook]:
  """The loss on test data, by noise level too, of the averaged weights."""
  settings, source = session.settings, getattr(session.data, 'test', None)
  if source is None:
    return []
  loss_fn = jax.jit(of_each(
      _loss_fn(settings, session.model.parts, train=False)))
  # One key for every step: the curve then shows the model, not the noise.
  key = keys.key(settings.seed, 'test')

  def look(params):
    return evaluate(loss_fn, params, key, source,
                    min(len(source), 4 * settings.batch_size))

  return [Hook(settings.save_every, functools.partial(lag.scores, look))]


TASK = Task('diffusion', Settings, RECIPES, build, loss, hooks)
