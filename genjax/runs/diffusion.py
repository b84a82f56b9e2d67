"""Diffusion models of images or points as runs.

`sample` draws by the sampler, steps and guidance of the settings, of classes
drawn at random where the model is told some and no condition says which.
`encode` gives the noise to which the probability-flow ODE takes an example, at
unit scale; `decode` goes back; without a condition the model is told none.
Under shares of classes both go by the denoisers of the two largest, mixed.
"""

import functools
from typing import Any, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.data import pipeline
from genjax.diffusion import conditions
from genjax.diffusion import guidance
from genjax.diffusion.loss import make_loss
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.prediction import check_defined
from genjax.diffusion.weighting import Weighting
from genjax.runs import diffusion_parts
from genjax.runs import keys
from genjax.runs import sampling
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.diffusion_settings import RECIPES
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Functions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.training import averages
from genjax.training.loop import Hook
from genjax.training.optimizers import make_optimizer
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Cond
from genjax.types import Context
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape


class Parts(NamedTuple):
  """What a diffusion run consists of."""

  diffusion: Diffusion
  process: Process  # that of `diffusion`, whose schedule is fixed
  weighting: Weighting
  draw: sampling.Draw


def build(settings: Settings) -> Model:
  """The model; its parts are `Parts`.

  Raises:
    ValueError: parts that do not fit together.
  """
  network = diffusion_parts.make_network(settings, num_classes(settings))
  process = diffusion_parts.make_process(settings)
  predict, weight = diffusion_parts.PREDICTIONS[settings.prediction](settings)
  check_defined('prediction', process, predict)
  model = Diffusion(network.apply, fixed(process), predict, settings.data_std)
  parts = Parts(model, process, weight, sampling.make_draw(
      settings, model, process, classes=num_classes(settings) is not None))

  def init(key: Key, batch: Batch | None) -> Params:
    del batch
    return init_model(network.init(key, jnp.zeros((1, *settings.shape)),
                                   jnp.zeros(1))['params'])

  return Model(init, functools.partial(_functions, settings, parts),
               {'ema': averages.ema(settings.ema_decay)}, parts)


def _functions(settings: Settings, parts: Parts, params: Params) -> Functions:
  classes = num_classes(settings)
  denoiser = guidance.mixing(make_denoiser(parts.diffusion))

  def told(where: str, cond: Cond | None) -> Cond | None:
    check(cond is None or classes is not None, where,
          'cond must be None for a model that is told no class', cond)
    return cond

  def sample(key: Key, shape: Shape = (), cond: Cond | None = None) -> Array:
    return sampling.sample(parts.draw, params, key, shape, told('sample', cond),
                           classes)

  @functools.partial(jax.jit, static_argnames='back')
  def coded(params: Params, x: Array, cond: Cond | None, back: bool) -> Array:
    flow = sampling.make_flow(settings, parts.process)
    return (flow.decode if back else flow.encode)(denoiser(params, cond), x)

  return Functions(
      sample=sample,
      encode=lambda x, cond=None: coded(params, x, told('encode', cond), False),
      decode=lambda z, cond=None: coded(params, z, told('decode', cond), True),
      denoiser=lambda cond=None: denoiser(params, told('denoiser', cond)))


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
    totals: dict[str, Any] = {}  # name -> [sum, number]
    # One key for every step: the curve then shows the model, not the noise.
    key = keys.key(settings.seed, 'test')
    for number, batch in enumerate(pipeline.eval_batches(source, size)):
      _, bins = loss_fn(state.averages['ema'], jax.random.fold_in(key, number),
                        batch, Context())
      for name, mean in jax.device_get(bins).items():
        # In float64: in float32 a count stops at 2^24.
        totals[name] = totals.get(name, 0.0) + np.asarray(
            [mean.total, mean.count], np.float64)
    totals['loss'] = np.sum(list(totals.values()), axis=0)
    return {f'test/{name}': float(total / count)
            for name, (total, count) in totals.items() if count}

  return [Hook(settings.save_every, hook)]


TASK = Task('diffusion', Settings, RECIPES, build, loss, hooks)
