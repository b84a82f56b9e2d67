"""Runs of a discriminative network: a classifier, or a fit of a curve."""

import dataclasses
import functools
import math
from typing import Any, Mapping

import jax
import jax.numpy as jnp

from genjax import discriminative
from genjax.checks import check
from genjax.data import pipeline
from genjax.networks.cnn import ResNet
from genjax.networks.mlp import ACTIVATIONS
from genjax.networks.mlp import Perceptron
from genjax.runs import fields
from genjax.runs.settings import setting
from genjax.runs.task import Functions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.training.averages import ema
from genjax.training.loop import Hook
from genjax.training.optimizers import make_optimizer
from genjax.types import Batch


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a network and its training; the defaults are those for images."""

  task: str = setting(
      'classification', choices=('classification', 'regression'), help='What '
      'is told: the class, or the last coordinate of a point from the others.')
  data: str = fields.data('digits')
  image_size: tuple[int, ...] | None = fields.image_size()
  channels: int | None = fields.channels()
  held_out: float = fields.held_out()
  seed: int = fields.seed()
  steps: int = fields.steps(600)
  batch_size: int = fields.batch_size(64)
  micro_batches: int = fields.micro_batches()
  parallel: str = fields.parallel()
  log_every: int = fields.log_every(50)
  save_every: int = fields.save_every(200)
  learning_rate: float = fields.learning_rate(3e-3)
  warmup: int = fields.warmup(50)
  b2: float = fields.b2(0.99)
  weight_decay: float = fields.weight_decay(1e-2)
  ema_decay: float = fields.ema_decay(0.98)
  width: tuple[int, ...] = fields.width((16, 32))
  features: int = setting(64, low=1, high=2**16, help='Features of an image.')
  groups: int = setting(8, low=1, high=2**16, help='Largest number of groups '
                        'in which a network for images normalises channels.')
  activation: str = setting('relu', choices=tuple(sorted(ACTIVATIONS)),
                            help='Activation of the network for points.')
  dropout: float = fields.dropout(0.1)
  dtype: str = fields.dtype()
  label_smoothing: float = setting(
      0.02, low=0.0, high=1.0, help='Share of a label spread over all classes.')
  mixup: float = setting(0.0, low=0.0, high=1e3, help='Concentration of the '
                         'weights that mix two examples; 0 mixes none.')
  shift: int = setting(1, low=0, high=4096, help='Largest number of pixels by '
                       'which a training image is moved at random.')
  shape: tuple[int, ...] = fields.shape((8, 8, 1))
  class_names: tuple[str, ...] = fields.class_names()
  num_examples: int = fields.num_examples()


# That of images was chosen on a validation part of the digits' training set.
_POINT = dict(dropout=0.0, label_smoothing=0.0, shift=0)
RECIPES: Mapping[str, Mapping[str, Any]] = {
    'images': {},
    'points': dict(_POINT, width=(64, 64), batch_size=128, steps=2000,
                   learning_rate=1e-2, save_every=100),
    'curve': dict(_POINT, task='regression', data='toy:line', width=(),
                  activation='tanh', batch_size=1000, steps=1000,
                  weight_decay=0.0, learning_rate=3e-2, save_every=500)}


def inputs(settings: Settings, x: Any) -> Any:
  """What the network is given of x: all, or all but the last coordinate."""
  return x[:, :-1] if settings.task == 'regression' else x


def build(settings: Settings) -> Model:
  """Outputs are logits, or a mean and the logarithm of a constant scale."""
  regression, shape = settings.task == 'regression', settings.shape
  if len(shape) == 1:
    extractor: Any = Perceptron(settings.width, settings.activation,
                                settings.dtype)
  else:
    check(bool(settings.width), 'width', 'must hold a level for images', '()')
    extractor = ResNet(settings.width, features=settings.features,
                       groups=math.gcd(settings.groups, *settings.width),
                       dtype=settings.dtype, dropout=settings.dropout)
  network = discriminative.make_discriminative(
      extractor, 1 if regression else max(len(settings.class_names), 1),
      num_constants=1 if regression else 0)
  logits = jax.jit(network.logits)
  init = lambda key, _: network.init(
      key, inputs(settings, jnp.ones((1, *shape))))
  return Model(init, lambda params: Functions(predict=functools.partial(
      logits, params)), {'ema': ema(settings.ema_decay)}, network)


def loss(settings: Settings, model: Model) -> Objective:
  """Cross-entropy of the labels, or -log p of the targets; AdamW."""
  if settings.task == 'regression':
    loss_fn = discriminative.make_regression_loss(model.parts, 1)
  else:
    loss_fn = discriminative.make_classification_loss(
        model.parts, label_smoothing=settings.label_smoothing,
        mixup=settings.mixup, augment=functools.partial(
            discriminative.shift_images, most=settings.shift)
        if settings.shift else None)
  return Objective(loss_fn, make_optimizer(
      settings.learning_rate, settings.steps, name='adamw', b2=settings.b2,
      weight_decay=settings.weight_decay,
      warmup_steps=min(settings.warmup, settings.steps - 1)))


def hooks(session: Session) -> list[Hook]:
  """Scores on test data, of the averaged weights."""
  settings, test = session.settings, session.data.test
  if test is None:
    return []
  logits = jax.jit(session.model.parts.logits)
  batch = pipeline.full_batch(test)

  def test_scores(state, step):
    del step
    found = scores(settings, batch,
                   functools.partial(logits, state.averages['ema']))
    return {f'test/{name}': value for name, value in found.items()}

  return [Hook(settings.save_every, test_scores)]


def scores(settings: Settings, batch: Batch, predict: Any) -> dict[str, float]:
  """Loss in nats, and accuracy or squared error, of the outputs for a batch."""
  outputs = discriminative.in_blocks(predict, inputs(settings, batch['x']))
  if settings.task == 'regression':
    return discriminative.regression_scores(outputs, batch['x'][:, -1:])
  return discriminative.classification_scores(outputs, batch['cond']['label'])


TASK = Task('classifier', Settings, RECIPES, build, loss, hooks)
