"""Runs of a discriminative network: a classifier, or a fit of a curve."""

import functools
import math
from typing import Any, Callable

import jax
import jax.numpy as jnp

from genjax import discriminative
from genjax import noisy_inputs
from genjax.checks import check
from genjax.data import pipeline
from genjax.networks.cnn import ResNet
from genjax.networks.mlp import Perceptron
from genjax.runs.classifier_settings import RECIPES
from genjax.runs.classifier_settings import Settings
from genjax.runs.task import Functions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Session
from genjax.runs.task import Task
from genjax.training.averages import ema
from genjax.training.loop import Hook
from genjax.training.optimizers import make_optimizer
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Key


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
  check(settings.noise == 0 or not regression, 'noise',
        'must be 0 where a number is told', settings.noise)
  check(settings.noise == 0 or math.log(settings.noise)
        > noisy_inputs.LEAST, 'noise', 'must be 0, or more than '
        f'{math.exp(noisy_inputs.LEAST):g}', settings.noise)
  network = discriminative.make_discriminative(
      extractor, 1 if regression else max(len(settings.class_names), 1),
      num_constants=1 if regression else 0)
  if settings.noise:
    network = noisy_inputs.told_noise(network, shape[-1])
  logits = jax.jit(network.logits)
  return Model(
      lambda key, _: network.init(key, inputs(settings, jnp.ones((1, *shape)))),
      lambda params: Functions(predict=functools.partial(logits, params)),
      {'ema': ema(settings.ema_decay)}, network)


def loss(settings: Settings, model: Model) -> Objective:
  """Cross-entropy of the labels, or -log p of the targets; AdamW."""
  if settings.task == 'regression':
    loss_fn = discriminative.make_regression_loss(model.parts, 1)
  else:
    loss_fn = discriminative.make_classification_loss(
        model.parts, label_smoothing=settings.label_smoothing,
        mixup=settings.mixup, augment=_augment(settings))
  tx = make_optimizer(settings.learning_rate, settings.steps, name='adamw',
                      b2=settings.b2, weight_decay=settings.weight_decay,
                      warmup_steps=min(settings.warmup, settings.steps - 1))
  return Objective(loss_fn, tx, init_from=settings.init_from)


def _augment(settings: Settings) -> Callable[[Key, Array], Array] | None:
  """How training images are changed: moved, then given noise."""
  changes: list[Callable[[Key, Array], Array]] = []
  if settings.shift:
    changes.append(functools.partial(
        discriminative.shift_images, most=settings.shift))
  if settings.noise:
    changes.append(functools.partial(
        noisy_inputs.add_noise, most=settings.noise))

  def augment(keys: Key, x: Array) -> Array:
    for number, change in enumerate(changes):
      # The first has the keys themselves, as it had when it was alone.
      x = change(keys if number == 0 else jax.vmap(
          lambda key, n=number: jax.random.fold_in(key, n))(keys), x)
    return x

  return augment if changes else None


def hooks(session: Session) -> list[Hook]:
  """Scores on test data, of the averaged weights."""
  settings, test = session.settings, session.data.test
  if test is None:
    return []
  logits = jax.jit(session.model.parts.logits)
  batch = pipeline.full_batch(test)

  def test_scores(state, step):
    del step
    found = scores(settings, batch, functools.partial(
        discriminative.in_blocks,
        functools.partial(logits, state.averages['ema'])))
    return {f'test/{name}': value for name, value in found.items()}

  return [Hook(settings.save_every, test_scores)]


def scores(settings: Settings, batch: Batch, predict: Any) -> dict[str, float]:
  """Loss in nats, and accuracy or squared error, of the outputs for a batch."""
  outputs = predict(inputs(settings, batch['x']))
  if settings.task == 'regression':
    return discriminative.regression_scores(outputs, batch['x'][:, -1:])
  return discriminative.classification_scores(outputs, batch['cond']['label'])


TASK = Task('classifier', Settings, RECIPES, functools.lru_cache(4)(build),
            loss, hooks)
