"""A kind of run for tests: a Gaussian, fitted by maximum likelihood."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.data.sources import ArraySource
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.runs import fields
from genjax.runs.settings import setting
from genjax.runs.task import Functions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Task
from genjax.training import averages
from genjax.training.loop import Hook

DIST = independent(normal, 1)


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a Gaussian of independent coordinates."""

  seed: int = fields.seed()
  shape: tuple[int, ...] = fields.shape((2,))
  steps: int = fields.steps(20)
  batch_size: int = fields.batch_size(64)
  micro_batches: int = fields.micro_batches()
  steps_per_call: int = fields.steps_per_call()
  parallel: str = fields.parallel()
  tensor_parallel: int = fields.tensor_parallel()
  log_every: int = fields.log_every(5)
  save_every: int = fields.save_every(10)
  keep_every: int = fields.keep_every()
  profile_steps: str | None = fields.profile_steps()
  learning_rate: float = fields.learning_rate(0.1)
  ema_decay: float = fields.ema_decay(0.9)
  begin: tuple[float, ...] | None = setting(
      None, low=-100.0, high=100.0, help='Means before the first step.')
  class_names: tuple[str, ...] = fields.class_names()
  init_from: str | None = fields.init_from()
  init_id: str | None = fields.init_id()


def build(settings: Settings) -> Model:
  def init(key, batch):
    del batch
    if settings.begin is not None:
      mean = jnp.array(settings.begin)
    else:
      mean = jax.random.normal(key, settings.shape)
    return {'mean': mean, 'log_scale': jnp.zeros(settings.shape)}

  def law(params):
    return NormalParams(params['mean'], jnp.exp(params['log_scale']))

  def functions(params):
    mean, scale = law(params)
    return Functions(
        sample=lambda key, shape=(), cond=None: DIST.sample(
            key, law(params), shape),
        log_prob=lambda x, cond=None: DIST.log_prob(law(params), x),
        encode=lambda x, cond=None: (x - mean) / scale,
        decode=lambda z, cond=None: mean + scale * z)

  return Model(init, functions, {'ema': averages.ema(settings.ema_decay)}, law)


def loss(settings: Settings, model: Model) -> Objective:
  def loss_fn(params, key, batch, context):
    del key, context
    return -jnp.mean(DIST.log_prob(model.parts(params), batch['x'])), {}

  return Objective(loss_fn, optax.sgd(settings.learning_rate),
                   init_from=settings.init_from)


def hooks(session):
  x = session.data.train.arrays['x']

  def test_loss(state, step):
    del step
    law = session.model.parts(state.averages['ema'])
    return {'test/loss': float(-jnp.mean(DIST.log_prob(law, x)))}

  return [Hook(session.settings.save_every, test_loss)]


TASK = Task('gaussian', Settings, {'default': {}, 'slow': {
    'learning_rate': 0.01}}, build, loss, hooks)

# What `open_run` must be told to open it.
KINDS = {'gaussian': 'tests.runs.gaussian'}


@dataclasses.dataclass(frozen=True)
class Data:
  """Points to train on."""

  train: ArraySource


def draw(seed: int = 0) -> Data:
  """1000 points, their means (1, -2), their standard deviations (0.5, 2)."""
  x = np.random.default_rng(seed).normal((1, -2), (0.5, 2), (1000, 2))
  return Data(ArraySource({'x': x.astype(np.float32)}))
