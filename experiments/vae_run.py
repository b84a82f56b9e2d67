"""A variational autoencoder's run: from its settings to model and loss.

Shared by the scripts that train VAEs and that use their codes. A run's
settings are plain JSON, kept in the work directory's flags.json.
"""

import functools
import math
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments import common
from experiments import training_run
from genjax.checks import check
from genjax.data import pipeline
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.flow import conditional_bijector
from genjax.distributions.flow import ContextParams
from genjax.distributions.flow import flow
from genjax.networks import autoencoder
from genjax.networks.coupling import SplineCoupling
from genjax.numerics import fold_in_each
from genjax.training.optimizers import make_optimizer
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params
from genjax.types import Source
from genjax.vae import likelihoods
from genjax.vae import objectives
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.model import make_vae
from genjax.vae.model import VAE

Settings = Mapping[str, Any]


def _mlp(s):
  widths = tuple(s['width'])
  return (
      functools.partial(autoencoder.MLPEncoder, widths=widths,
                        num_classes=s['num_classes']),
      functools.partial(autoencoder.MLPDecoder, shape=tuple(s['shape']),
                        widths=widths, num_classes=s['num_classes']))


def _conv(s):
  channels = tuple(s['width'])
  groups = math.gcd(s['groups'], *channels)
  return (
      functools.partial(autoencoder.ConvEncoder, channels=channels,
                        groups=groups, num_classes=s['num_classes']),
      functools.partial(autoencoder.ConvDecoder, shape=tuple(s['shape']),
                        channels=channels, groups=groups,
                        num_classes=s['num_classes']))


# Encoder and decoder.
NETWORKS: Mapping[str, Callable[[Settings], tuple]] = {
    'mlp': _mlp, 'conv': _conv}

LIKELIHOODS: Mapping[str, Callable[[Settings], likelihoods.Likelihood]] = {
    'discretized_logistic': lambda s: likelihoods.discretized_logistic(
        s['levels'], s['scale']),
    'gaussian': lambda s: likelihoods.gaussian(s['scale']),
    'bernoulli': lambda s: likelihoods.bernoulli(),
}


def _couplings(s):
  return SplineCoupling(num_layers=s['flow_layers'], bound=6.0)


def _flow_prior(s):
  network, num = _couplings(s), s['latents']
  standard = NormalParams(jnp.zeros(num), jnp.ones(num))
  return priors.learned(num, flow(network, independent(normal, 1), standard),
                        network.init)


def _flow_posterior(s):
  network = _couplings(s)
  return posteriors.flow(s['latents'], s['context'],
                         conditional_bijector(network), network.init,
                         ContextParams)


PRIORS: Mapping[str, Callable[[Settings], priors.Prior]] = {
    'normal': lambda s: priors.standard_normal(s['latents']),
    'vamp': lambda s: priors.vamp(s['latents'], s['components']),
    'flow': _flow_prior,
}

POSTERIORS: Mapping[str, Callable[[Settings], posteriors.Posterior]] = {
    'diagonal': lambda s: posteriors.diagonal(s['latents']),
    'flow': _flow_posterior,
}

OBJECTIVES: Mapping[str, Callable[[Settings, VAE], LossFn]] = {
    'elbo': lambda s, vae: objectives.make_elbo_loss(
        vae, beta=s['beta'], free_bits=s['free_bits']),
    'iwae': lambda s, vae: objectives.make_iwae_loss(
        vae, num_samples=s['importance_samples']),
}


def build_model(settings: Settings) -> VAE:
  """The model that `settings` describe.

  Raises:
    ValueError: parts that do not fit together, or the settings of another
      kind of run.
  """
  check('scale' in settings, 'workdir', 'must be the folder of a run of '
        'train_vae, of this version', 'another run')
  check(settings['prior'] != 'vamp' or settings['posterior'] == 'diagonal',
        'prior', 'must be another than vamp, a mixture of diagonal '
        f'posteriors, for --posterior={settings["posterior"]}', 'vamp')
  encoder, decoder = NETWORKS[settings['network']](settings)
  return make_vae(
      encoder, decoder, posterior=POSTERIORS[settings['posterior']](settings),
      prior=PRIORS[settings['prior']](settings),
      likelihood=LIKELIHOODS[settings['likelihood']](settings),
      event_ndims=len(settings['shape']), num_classes=settings['num_classes'])


def on_levels(x: Array, num_levels: int) -> Array:
  """The level 2 k / (num_levels - 1) - 1 nearest to each value of x.

  Digits are stored as 0..255, where none of their 17 levels but the ends is a
  whole number.
  """
  top = num_levels - 1
  # A compiler may multiply by 1 / top, which makes the last one more than 1.
  return jnp.clip(2 * jnp.round((x + 1) * (top / 2)) / top - 1, -1, 1)


def is_density(settings: Settings) -> bool:
  """Whether the model is of dequantised pixels, and has no mass at levels."""
  return settings['likelihood'] == 'gaussian'


def level_width(settings: Settings) -> float:
  """The distance between two levels of a pixel in [-1, 1]."""
  return 2 / (settings['levels'] - 1)


def inputs(settings: Settings, key: Key, batch: Batch) -> Batch:
  """What the model is given of a batch: pixels on levels, labels if it may.

  A density is of pixels to which uniform noise of one level's width is added
  (arXiv:1511.01844, section 3.1), by `key` and each example's index.
  """
  x = on_levels(batch['x'], settings['levels'])
  if is_density(settings):
    keys = fold_in_each(key, batch['index'])
    noise = jax.vmap(lambda k: jax.random.uniform(
        k, x.shape[1:], minval=-0.5, maxval=0.5))(keys)
    x = x + level_width(settings) * noise
  cond = batch['cond'] if settings['num_classes'] is not None else {}
  return {**batch, 'x': x, 'cond': cond}


def make_loss(settings: Settings) -> LossFn:
  """The training loss."""
  loss_fn = OBJECTIVES[settings['objective']](settings, build_model(settings))

  def call(params, key, batch, context):
    key_inputs, key_loss = jax.random.split(key)
    return loss_fn(params, key_loss, inputs(settings, key_inputs, batch),
                   context)

  return call


def optimizer(settings: Settings) -> optax.GradientTransformation:
  """The run's optimizer."""
  return make_optimizer(
      settings['learning_rate'], settings['steps'], name='adamw',
      b2=settings['b2'], weight_decay=settings['weight_decay'],
      warmup_steps=min(settings['warmup'], settings['steps'] - 1))


def init_run(settings: Settings, source: Source) -> State:
  """The state before the first step; priors may begin at examples of `source`.

  Raises:
    ValueError: parts that do not fit together, or do not take the data.
  """
  # A network runs for the first time here, on little: compiling it well would
  # take longer than that.
  init = jax.jit(build_model(settings).init, compiler_options={
      'xla_backend_optimization_level': 0}
      if jax.default_backend() == 'cpu' else None)
  key_params, key_inputs = jax.random.split(
      common.root_key(settings['seed'], 'init'))
  batch = inputs(settings, key_inputs, pipeline.batch_at(
      source, settings['batch_size'], 0, seed=settings['seed']))
  return init_state(init(key_params, batch['x'], batch['cond'].get('label')),
                    optimizer(settings), ['ema'])


def code(vae: VAE, q: Params, num: int) -> Array:
  """Codes [N, Z] of N posteriors q, free of their noise."""
  return vae.posterior.reparameterize(q, jnp.zeros((num, vae.num_latents)))


class Drawn(NamedTuple):
  """N images that a model drew."""

  z: Array  # [N, Z], the codes
  mean: Array  # [N, *shape], free of the observation noise
  x: Array  # [N, *shape], with it


def draw(
    key: Key, vae: VAE, params: Params, num: int, label: Array | None = None
) -> Drawn:
  """Images of codes from the prior.

  Args:
    key: of the codes and of the observation noise.
    vae: the model.
    params: its params.
    num: N.
    label: [N], or None.
  """
  key_z, key_x = jax.random.split(key)
  z = vae.prior.sample(key_z, vae.prior_params(params), (num,))
  law = vae.decode(params, z, label)
  mean: Any = vae.likelihood.mean  # which every likelihood has
  return Drawn(z, mean(law), vae.likelihood.sample(key_x, law))


def load_run(workdir: str) -> tuple[VAE, Params, dict[str, Any], int]:
  """Model, averaged parameters, settings and step of the run in `workdir`.

  Raises:
    ValueError: there is no run, or it has no checkpoint yet.
  """
  settings = common.read_settings(workdir)
  vae = build_model(settings)
  state, step = training_run.restore(workdir, lambda: init_state(
      vae.init(jax.random.key(0), jnp.zeros((1, *settings['shape']))),
      optimizer(settings), ['ema']), 'train_vae')
  return vae, state.averages['ema'], settings, step
