"""Variational autoencoders of images as runs.

`sample` draws images with their observation noise, of classes drawn at random
where the model is told classes and no condition says which. `log_prob` is the
importance-weighted bound of 100 codes (arXiv:1509.00519, eq. 8), nats: of a
mass at the levels nearest to the pixels, or of a density, of pixels as they
are given. Without a condition it is that of the mean over classes. `encode`
gives the posterior's code, free of its noise, and `decode` mean images; where
the label is of shares, both networks are told these.
"""

import functools
import math

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.data.levels import on_levels
from genjax.numerics import labels_each
from genjax.numerics import log_mean_exp
from genjax.runs import keys
from genjax.runs import vae_scores
from genjax.runs.task import Functions
from genjax.runs.task import MakeFunctions
from genjax.runs.task import Model
from genjax.runs.task import Objective
from genjax.runs.task import Task
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import num_classes
from genjax.runs.vae_settings import RECIPES
from genjax.runs.vae_settings import Settings
from genjax.training import averages
from genjax.training.optimizers import make_optimizer
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Cond
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape
from genjax.vae import named
from genjax.vae import objectives
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import code
from genjax.vae.distribution import draw
from genjax.vae.distribution import mean_of
from genjax.vae.distribution import VAEParams
from genjax.vae.model import VAE

_CODES = 100  # of each example in log_prob, and of each class


def build(settings: Settings) -> Model:
  """The model; its parts are the `VAE`.

  Raises:
    ValueError: parts that do not fit together.
  """
  vae = named.make(named.Parts(num_classes=num_classes(settings), **{
      name: getattr(settings, name) for name in named.Parts._fields
      if name != 'num_classes'}))

  def init(key: Key, batch: Batch | None) -> Params:
    if batch is None:
      return vae.init(key, jnp.zeros((1, *settings.shape)))
    # A prior may begin at examples.
    key_params, key_inputs = jax.random.split(key)
    given = inputs(settings, key_inputs, batch)
    return vae.init(key_params, given['x'], given['cond'].get('label'))

  return Model(init, _functions(settings, vae),
               averages.named(settings.ema_decay, settings.ema_widths), vae)


def _functions(settings: Settings, vae: VAE) -> MakeFunctions:
  classes = num_classes(settings)

  def told(where: str, cond: Cond | None) -> Array | None:
    label = (cond or {}).get('label')
    check(classes is None or label is not None, where, 'cond must hold the '
          'label of each example, which the model is told', cond)
    return label

  @functools.partial(jax.jit, static_argnames='shape')
  def sampled(params: Params, key: Key, label: Array | None, shape: Shape):
    num = math.prod(shape)
    if label is not None:
      label = jnp.broadcast_to(label, shape).reshape(num)
    elif classes is not None:
      key, key_label = jax.random.split(key)
      label = labels_each(key_label, num, classes)
    x = draw(key, vae, params, num, label).x
    return x.reshape(*shape, *x.shape[1:])

  @jax.jit
  def bound(params: Params, x: Array, label: Array | None) -> Array:
    if not is_density(settings):
      x = on_levels(x, settings.levels)
    law = as_distribution(vae, keys.key(settings.seed, 'log_prob'),
                          num_samples=_CODES)
    if label is None and classes is not None:
      return log_mean_exp(law.log_prob(
          VAEParams(params, jnp.arange(classes)[:, None]), x))
    return law.log_prob(VAEParams(params, label), x)

  @jax.jit
  def encoded(params: Params, x: Array, label: Array | None) -> Array:
    return code(vae, params, on_levels(x, settings.levels), label)

  @jax.jit
  def decoded(params: Params, z: Array, label: Array | None) -> Array:
    return mean_of(vae, vae.decode(params, z, label))

  return lambda params: Functions(
      sample=lambda key, shape=(), cond=None: sampled(
          params, key, (cond or {}).get('label'), tuple(shape)),
      log_prob=lambda x, cond=None: bound(params, x, (cond or {}).get('label')),
      encode=lambda x, cond=None: encoded(params, x, told('encode', cond)),
      decode=lambda z, cond=None: decoded(params, z, told('decode', cond)),
      density=_density(settings))


def _density(settings: Settings) -> str:
  """What log_prob returns without a condition, in words."""
  return (f'nats, importance-weighted lower bound, {_CODES} samples'
          + ' a class, classes equally likely' * bool(num_classes(settings))
          + (', a density of dequantised pixels' if is_density(settings) else
             f', a mass at {settings.levels} levels a pixel'))


def loss(settings: Settings, model: Model) -> Objective:
  """The bound that is raised, and the optimizer."""
  bound = objectives.make_elbo_loss(
      model.parts, beta=settings.beta, free_bits=settings.free_bits
  ) if settings.objective == 'elbo' else objectives.make_iwae_loss(
      model.parts, num_samples=settings.importance_samples)

  def loss_fn(params, key, batch, context):
    key_inputs, key_loss = jax.random.split(key)
    return bound(params, key_loss, inputs(settings, key_inputs, batch), context)

  tx = make_optimizer(settings.learning_rate, settings.steps, name='adamw',
                      b2=settings.b2, weight_decay=settings.weight_decay,
                      warmup_steps=min(settings.warmup, settings.steps - 1))
  return Objective(loss_fn, tx, init_from=settings.init_from)


TASK = Task('vae', Settings, RECIPES, functools.lru_cache(4)(build), loss,
            vae_scores.hooks)
