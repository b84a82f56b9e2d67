"""Three ways to train a classifier on a few images, for `augmentation`."""

import itertools
from typing import Any, Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import classifier_run
from experiments import common
from experiments.image_data import Images
from genjax.data import pipeline
from genjax.data import sources
from genjax.metrics.classification import likeliest
from genjax.runs import fit
from genjax.runs import vae
from genjax.runs import vae_settings
from genjax.training import parallel
from genjax.training.averages import ema
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Batch
from genjax.types import Key
from genjax.types import LossFn
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
    init: Callable[[Key, Batch], Params], loss_fn: LossFn,
    tx: optax.GradientTransformation, settings: Mapping[str, Any]
) -> Callable[[Key, Images, int], Params]:
  """(key, images, seed of their order) -> averaged parameters of a network.

  It is compiled once for all numbers of images.

  Args:
    init: (key, batch) -> params.
    loss_fn: what is minimised.
    tx: the optimizer.
    settings: 'batch_size', 'steps', 'ema_decay' and 'class_names'.
  """
  init = jax.jit(init)
  # Small enough for one device: more would wait for each other.
  compiled = parallel.compile_step(
      make_step(loss_fn, tx, averages={'ema': ema(settings['ema_decay'])}),
      parallel.make_mesh(1))

  def train(key, images, seed):
    key_init, key_step = jax.random.split(key)
    stream = pipeline.batches(
        sources.ArraySource(images._asdict(), tuple(settings['class_names'])),
        settings['batch_size'], seed=seed)
    state = compiled.put(init_state(init(key_init, next(stream)), tx,
                                     ['ema']))
    for batch in itertools.islice(stream, settings['steps']):
      state, _ = compiled.step(state, key_step, batch)
    return state.averages['ema']

  return train


def make_sampler(
    settings: vae_settings.Settings
) -> Callable[[Images, int], Images]:
  """(images, seed) -> samples of a VAE of these images, as many of a class."""

  def loss(settings, model):
    # Small enough for one device: more would wait for each other.
    return vae.loss(settings, model)._replace(devices=1)

  train = fit.make_trainer(vae.TASK._replace(loss=loss), settings)
  label = np.arange(_BLOCK, dtype=np.int32) % len(settings.class_names)
  model = vae.build(settings).parts

  @jax.jit
  def means(key, params):
    return draw(key, model, params, len(label), jnp.asarray(label)).mean

  def sample(images, seed):
    key_train, key_draw = jax.random.split(common.root_key(seed, 'sample'))
    source = sources.ArraySource(images._asdict(), settings.class_names)
    params = train(key_train, source, seed).averages['ema']
    blocks = [means(key, params) for key in jax.random.split(key_draw, _BLOCKS)]
    return Images(np.concatenate(blocks), np.tile(label, _BLOCKS))

  return sample


def make_arms(
    settings: classifier_run.Settings, of_vae: vae_settings.Settings
) -> dict[str, Arm]:
  """The three ways to train on a few images, by name."""
  model = classifier_run.build_model(settings)
  logits = classifier_run.in_blocks(model.logits)

  def classifier(mixup):
    train = make_trainer(
        lambda key, batch: model.init(key, batch['x']),
        classifier_run.make_loss({**settings, 'mixup': mixup}),
        classifier_run.optimizer(settings), settings)

    def arm(images, seed):
      params = train(common.root_key(seed, 'training'), images, seed)
      return lambda x: likeliest(logits(params, x))

    return arm

  alone, sample = classifier(0.0), make_sampler(of_vae)
  return {'alone': alone, 'mixup': classifier(_MIXUP),
          'VAE': lambda images, seed: alone(
              join(images, sample(images, seed)), seed)}
