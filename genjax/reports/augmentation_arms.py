"""Three ways to train a classifier on a few images, for `augmentation`."""

import dataclasses
import functools
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax.data import sources
from genjax.discriminative import in_blocks
from genjax.metrics.classification import likeliest
from genjax.reports.image_sets import Images
from genjax.runs import classifier
from genjax.runs import fit
from genjax.runs import keys
from genjax.runs import vae as vaes
from genjax.runs.task import Task
from genjax.runs.vae_settings import Settings as VAESettings
from genjax.types import Key
from genjax.types import Params
from genjax.vae.distribution import draw

_MIXUP = 0.1
_REAL = 3  # images to one that a VAE made
_BLOCK, _BLOCKS = 500, 20  # samples of a VAE, drawn at a time
_STREAM = 4  # of the choice of images

# (a few images, seed) -> a classifier: x [N, H, W, C] to classes int [N], -1
# for none.
Arm = Callable[[Images, int], Callable[[np.ndarray], np.ndarray]]


def draw_few(images: Images, per_class: int, seed: int) -> Images:
  """Some images of each class; fewer ones of a seed are among more of them.

  Args:
    images: to choose from, at least `per_class` of each class.
    per_class: how many.
    seed: of the choice.
  """
  order = sources.permutation(len(images.x), seed, _STREAM)
  label = images.label[order]
  rows = np.concatenate([order[label == c][:per_class]
                         for c in np.unique(label)])
  return Images(images.x[rows], images.label[rows])


def join(real: Images, made: Images) -> Images:
  """Images that were made and `_REAL` to one real ones, which are repeated."""
  rows = np.arange(_REAL * len(made.x)) % len(real.x)
  return Images(np.concatenate([real.x[rows], made.x]),
                np.concatenate([real.label[rows], made.label]))


def make_trainer(
    task: Task, settings: Any
) -> Callable[[Key, Images, int], Params]:
  """(key, images, seed of their order) -> averaged parameters of a network.

  It is compiled once for all numbers of images.
  """

  def loss(settings, model):
    # Small enough for one device: more would wait for each other.
    return task.loss(settings, model)._replace(devices=1)

  train = fit.make_trainer(task._replace(loss=loss), settings)
  return lambda key, images, seed: train(
      key, sources.ArraySource(images._asdict(), settings.class_names),
      seed).averages['ema']


def make_sampler(settings: VAESettings) -> Callable[[Images, int], Images]:
  """(images, seed) -> samples of a VAE of these images, as many of a class."""
  train = make_trainer(vaes.TASK, settings)
  label = np.arange(_BLOCK, dtype=np.int32) % len(settings.class_names)
  model = vaes.TASK.build(settings).parts

  @jax.jit
  def means(key, params):
    return draw(key, model, params, len(label), jnp.asarray(label)).mean

  def sample(images, seed):
    key_train, key_draw = jax.random.split(keys.key(seed, 'sample'))
    params = train(key_train, images, seed)
    blocks = [means(key, params) for key in jax.random.split(key_draw, _BLOCKS)]
    return Images(np.concatenate(blocks), np.tile(label, _BLOCKS))

  return sample


def make_arms(
    settings: classifier.Settings, vae_settings: VAESettings
) -> dict[str, Arm]:
  """The three ways to train on a few images, by name."""
  logits = jax.jit(classifier.TASK.build(settings).parts.logits)

  def train_with(mixup):
    train = make_trainer(classifier.TASK,
                         dataclasses.replace(settings, mixup=mixup))

    def arm(images, seed):
      params = train(keys.key(seed, 'training'), images, seed)
      return lambda x: likeliest(in_blocks(functools.partial(logits, params),
                                           x))

    return arm

  alone, sample = train_with(0.0), make_sampler(vae_settings)
  return {'alone': alone, 'mixup': train_with(_MIXUP),
          'VAE': lambda images, seed: alone(
              join(images, sample(images, seed)), seed)}
