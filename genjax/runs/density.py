"""Runs of a density of vectors, by one of six models of it.

A model is of standardised points, (x - loc) / scale; what a run draws and
scores is in the unit of the data. `density_fits` fits each of the models.
"""

import dataclasses
import functools

import jax
import numpy as np

from genjax import densities
from genjax.checks import check
from genjax.data import pipeline
from genjax.data import toy
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting
from genjax.runs.task import Functions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.training import averages
from genjax.training.loop import Hook
from genjax.training.optimizers import make_optimizer
from genjax.types import Context

_MOST_AXES = 16
_LARGEST = 1e300


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a density; the points decide `shape` and all below it."""

  data: str = setting('moons', lengths=(1, 4096), help='Points: a toy set ('
                      f'{", ".join(sorted(toy.SETS))}), or a file .npy or .csv '
                      'with a row a point, a fifth of them for testing.')
  model: str = setting('flow', choices=tuple(densities.MODELS),
                       help='Model of the density.')
  seed: int = fields.seed()
  steps: int = fields.steps(2000)
  batch_size: int = fields.batch_size(512)
  micro_batches: int = fields.micro_batches()
  steps_per_call: int = fields.steps_per_call()
  parallel: str = fields.parallel()
  tensor_parallel: int = fields.tensor_parallel()
  log_every: int = fields.log_every(100)
  save_every: int = fields.save_every(100)
  keep_every: int = fields.keep_every()
  profile_steps: str | None = fields.profile_steps()
  learning_rate: float = fields.learning_rate(5e-3)
  ema_decay: float = fields.ema_decay(0.99)
  shape: tuple[int, ...] = fields.shape((2,))
  num_examples: int = fields.num_examples()
  loc: tuple[float, ...] = setting(
      (0.0, 0.0), low=-_LARGEST, high=_LARGEST, lengths=(1, _MOST_AXES),
      help='Mean of the training points along each axis.')
  scale: tuple[float, ...] = setting(
      (1.0, 1.0), above=0, high=_LARGEST, lengths=(1, _MOST_AXES),
      help='Standard deviation of the training points along each axis.')
  base: tuple[float, ...] | None = setting(
      None, low=-_LARGEST, high=_LARGEST, lengths=(1, _MOST_AXES**2),
      help='Cholesky factor of the covariance of the standardised points, row '
      'by row: of the Gaussian where chains of an energy model start.')
  components: int = setting(1, low=1, high=4096,
                            help='Number of Gaussians of a mixture.')
  bins: int = setting(2, low=1, high=densities.MOST_CELLS,
                      help='Cells of a histogram along each axis.')


# Settings that the points decide.
FACTS = ('shape', 'num_examples', 'loc', 'scale', 'base', 'components', 'bins')


def model_shape(settings: Settings) -> densities.Shape:
  """What the model must know before it has params.

  Raises:
    ValueError: settings that do not fit each other.
  """
  dim = settings.shape[0]
  check(len(settings.shape) == 1 and 1 <= dim <= _MOST_AXES, 'shape',
        f'must be one number up to {_MOST_AXES}', settings.shape)
  for name, size in (('loc', dim), ('scale', dim), ('base', dim**2)):
    value = getattr(settings, name)
    check(value is None or len(value) == size, name, f'must be {size} numbers',
          value)
  check(settings.bins**dim <= densities.MOST_CELLS, 'bins',
        f'must make at most {densities.MOST_CELLS} cells', settings.bins)
  return densities.Shape(
      dim, settings.num_examples, settings.components, settings.bins,
      settings.base, keys.key(settings.seed, 'log_prob'))


def build(settings: Settings) -> Model:
  """The model, whose parts are its `Density`.

  Raises:
    ValueError: settings that do not fit each other.
  """
  density = densities.MODELS[settings.model](model_shape(settings))
  of = densities.in_unit(density, np.array(settings.loc),
                         np.array(settings.scale))

  def functions(params):
    sample, log_prob = of(params)
    return Functions(
        sample=lambda key, shape=(), cond=None: sample(key, tuple(shape)),
        log_prob=lambda x, cond=None: log_prob(x),
        density='nats, exact' + (' but for the estimate of log Z' if (
            settings.model == 'energy') else ''))

  trained = density.loss_fn is not None
  return Model(lambda key, batch: density.init(key), functions,
               {'ema': averages.ema(settings.ema_decay)} if trained else {},
               density)


def loss(settings: Settings, model: Model) -> Objective:
  """What is minimised, of a model that is trained."""
  check(model.parts.loss_fn is not None, 'model',
        'must be energy or flow to be trained', settings.model)
  tx = make_optimizer(settings.learning_rate, settings.steps,
                      warmup_steps=min(100, settings.steps - 1))
  # Small enough for one device: more would wait for each other.
  return Objective(model.parts.loss_fn, tx, devices=1, stream=(
      list(densities.MODELS).index(settings.model),))


def hooks(session: Session) -> list[Hook]:
  """The criterion by which points not trained on judge the model."""
  train, test = (pipeline.full_batch(source)
                 for source in (session.data.train, session.data.test))
  judge = jax.jit(session.model.parts.criterion(train['x']))
  key = keys.key(session.settings.seed, 'test')

  def test_loss(state, step):
    del step
    loss, _ = judge(state.averages['ema'], key, test, Context())
    return {'test/loss': float(loss)}

  return [Hook(session.settings.save_every, test_loss)]


TASK = Task('density', Settings, {'default': {}}, functools.lru_cache(4)(build),
            loss, hooks, opens_best=True)
