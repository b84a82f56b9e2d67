"""Trained generative models as maps between images and codes.

Of a run of train_vae the code is the posterior's, free of its noise; of one of
train_diffusion it is the noise to which the probability-flow ODE takes an
image, at unit scale.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.data.levels import on_levels
from genjax.diffusion import guidance
from genjax.diffusion.model import make_denoiser
from genjax.interpolation import lerp
from genjax.numerics import log_mean_exp
from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs.open import open_run
from genjax.runs.task import Run
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import num_classes
from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import code
from genjax.vae.distribution import mean_of
from genjax.vae.distribution import VAEParams

_NUM_SAMPLES = 100  # importance samples of a log-density


class Classes(NamedTuple):
  """Where each of B images is on its way from one class to another."""

  first: Array  # int [B]
  second: Array  # int [B]
  share: Array  # [B]; 0 is the first, 1 the second


class Codec(NamedTuple):
  """Pure functions of the params of one trained model of images [H, W, C]."""

  # (params, x [B, H, W, C], label [B] or None) -> z [B, ...]
  encode: Callable[..., Array]
  # (params, z [B, ...], Classes or None) -> x, the other way
  decode: Callable[..., Array]
  # (params, key, x) -> nats [B], whatever the class; see `density`
  log_prob: Callable[[Params, Key, Array], Array] | None
  density: str | None  # what log_prob returns
  run: Run
  num_classes: int | None  # that it is told
  descent: int  # steps of a geodesic, of digits in about a minute at most


def open_codec(workdir: str) -> Codec:
  """The model of the run in `workdir`.

  Raises:
    ValueError: it is no run of a generative model, one without a checkpoint,
      or one on points.
  """
  run = open_run(workdir)
  kinds = {'vae': _vae, 'diffusion': _diffusion}
  check(run.task.kind in kinds, 'workdir', 'must be the folder of a run of '
        'train_vae or train_diffusion', f'a {run.task.kind} in {workdir!r}')
  check(len(run.settings.shape) == 3, 'workdir', 'must be a run on images',
        f'{run.settings.data!r} of shape {run.settings.shape}')
  return kinds[run.task.kind](run)


def _diffusion(run: Run) -> Codec:
  settings, parts = run.settings, run.task.build(run.settings).parts
  flow = diffusion.make_flow(settings, parts.process)
  make = make_denoiser(parts.diffusion)

  def told(label: Array | None) -> Any:
    return None if label is None else {'label': label}

  def encode(params: Params, x: Array, label: Array | None) -> Array:
    return flow.encode(make(params, told(label)), x)

  def decode(params: Params, z: Array, classes: Classes | None) -> Array:
    if classes is None:
      return flow.decode(make(params), z)
    second, first = (make(params, told(label))
                     for label in (classes.second, classes.first))
    return flow.decode(
        guidance.classifier_free(second, first, classes.share), z)

  return Codec(encode, decode, None, None, run,
               diffusion_settings.num_classes(settings), 30)


def _vae(run: Run) -> Codec:
  settings, vae = run.settings, run.task.build(run.settings).parts
  classes_told = num_classes(settings)

  def encode(params: Params, x: Array, label: Array | None) -> Array:
    return code(vae, params, on_levels(x, settings.levels), label)

  def decode(params: Params, z: Array, classes: Classes | None) -> Array:
    label = None
    if classes is not None and classes_told is not None:
      first, second = (jax.nn.one_hot(class_, classes_told)
                       for class_ in (classes.first, classes.second))
      label = jax.vmap(lerp)(first, second, classes.share)
    return mean_of(vae, vae.decode(params, z, label))

  def log_prob(params: Params, key: Key, x: Array) -> Array:
    key_inputs, key_draws = jax.random.split(key)
    batch = {'x': x, 'index': jnp.arange(len(x)), 'cond': {}}
    x = inputs(settings, key_inputs, batch)['x']
    model = as_distribution(vae, key_draws, num_samples=_NUM_SAMPLES)
    if classes_told is None:
      return model.log_prob(VAEParams(params), x)
    # Marginal over classes, a row each.
    return log_mean_exp(model.log_prob(
        VAEParams(params, jnp.arange(classes_told)[:, None]), x))

  density = (
      f'nats, importance-weighted lower bound, {_NUM_SAMPLES} samples'
      + (' a class, classes equally likely' if classes_told else '')
      + (', of dequantised pixels' if is_density(settings) else
         f', a mass at {settings.levels} levels a pixel'))
  return Codec(encode, decode, log_prob, density, run, classes_told, 300)
