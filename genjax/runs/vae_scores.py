"""How well a variational autoencoder does on examples: terms of its bounds."""

import itertools
import math
from typing import Any, Callable, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.data import pipeline
from genjax.data.levels import level_width
from genjax.metrics.bits import bits_per_dim
from genjax.numerics import log_mean_exp
from genjax.runs import keys
from genjax.runs.task import Session
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import Settings
from genjax.training.loop import Hook
from genjax.types import Params
from genjax.types import Source
from genjax.vae import objectives
from genjax.vae.distribution import code
from genjax.vae.model import VAE

IMPORTANCE = 1000  # codes of each example in the tighter bound

_BLOCK = 100  # examples at a time
_DRAWS = 10  # codes of each example over which the terms are means
_VALUES = 2**19  # that are decoded at a time for the tighter bound
_WORK = 2**25  # of values decoded, beyond which 100 examples must do

# (params, key, batch as the model is given it) -> a pytree of leaves [B, ...].
OfBatch = Callable[..., Any]


class Scores(NamedTuple):
  """Of N examples: the terms of their bounds, and their codes without noise."""

  reconstruction: Any  # nats [N]
  kl: Any  # nats [N]
  code: Any  # [N, Z]
  label: Any  # [N], 0 without classes


def _over_batches(
    settings: Settings, of_batch: OfBatch
) -> Callable[..., Any]:
  """(params, source, most) -> leaves [N, ...]; compiles once a size."""

  @jax.jit
  def call_batch(params, key, batch):
    key_inputs, key_codes = jax.random.split(key)
    label = batch['cond'].get('label', jnp.zeros(len(batch['x']), int))
    return of_batch(params, key_codes,
                    inputs(settings, key_inputs, batch)), label

  def call(params, source, most=math.inf):
    # One key for every step: the curve then shows the model, not the noise.
    key = keys.key(settings.seed, 'test')
    size = min(len(source), _BLOCK)
    num = math.ceil(min(len(source), most) / size)
    parts = []
    for number, batch in enumerate(itertools.islice(
        pipeline.eval_batches(source, size), num)):
      kept = batch.pop('mask') > 0
      found = call_batch(params, jax.random.fold_in(key, number), batch)
      parts.append(jax.tree.map(lambda a, k=kept: np.asarray(a)[k], found))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

  return call


def make_scores(
    settings: Settings, vae: VAE
) -> Callable[[Params, Source], Scores]:
  """(params, source) -> `Scores` of all its examples, in a mixed order."""

  def of_batch(params, key, batch):
    x, label = batch['x'], batch['cond'].get('label')
    terms = objectives.elbo_terms(key, vae, params, x, label,
                                  num_samples=_DRAWS, index=batch['index'])
    return (terms.reconstruction, jnp.sum(terms.kl, axis=1),
            code(vae, params, x, label))

  call = _over_batches(settings, of_batch)

  def scores(params, source):
    (reconstruction, kl, codes), label = call(params, source)
    return Scores(reconstruction, kl, codes, label)

  return scores


def importance_weighted(
    settings: Settings, vae: VAE, params: Params, source: Source
) -> np.ndarray:
  """The importance-weighted bound of 1000 codes, nats [N].

  Of the first 100 examples where that of all would decode too many images.
  """
  values = math.prod(settings.shape)
  size = min(len(source), _BLOCK)
  rows = max(rows for rows in (1, 10, 50)
             if rows == 1 or rows * size * values <= _VALUES)

  def of_batch(params, key, batch):

    def some(key):
      return objectives.log_weights(
          key, vae, params, batch['x'], batch['cond'].get('label'),
          num_samples=rows, index=batch['index'])

    nats = jax.lax.map(some, jax.random.split(key, IMPORTANCE // rows))
    return log_mean_exp(nats.reshape(-1, size))

  return _over_batches(settings, of_batch)(
      params, source, max(_BLOCK, _WORK // (IMPORTANCE * values)))[0]


def bits_name(settings: Settings) -> str:
  """What bits per dimension of the model are of: never two in one column."""
  return 'dequantised_bits_per_dim' if is_density(settings) else 'bits_per_dim'


def bits(
    settings: Settings, nats: np.ndarray, *, of_pixels: bool = True
) -> np.ndarray:
  """Bits per dimension [N] of log-probabilities of images, or of their codes.
  """
  width = level_width(settings.levels)
  return bits_per_dim(
      nats, math.prod(settings.shape),
      level_width=width if of_pixels and is_density(settings) else None)


def active_units(codes: np.ndarray) -> int | None:
  """How many there are; None of one example, over which nothing varies."""
  return int(objectives.active_units(jnp.asarray(codes)).sum()) if (
      len(codes) > 1) else None


def hooks(session: Session) -> Sequence[Hook]:
  """Terms of the bound and active units on the test data, where there are."""
  settings, source = session.settings, getattr(session.data, 'test', None)
  if source is None:
    return []
  scores = make_scores(settings, session.model.parts)

  def hook(state, step):
    del step
    found = scores(state.averages['ema'], source)
    nats = found.reconstruction + found.kl
    scalars = {
        'test/loss': nats.mean(),
        'test/reconstruction': found.reconstruction.mean(),
        'test/kl': found.kl.mean(),
        f'test/{bits_name(settings)}': bits(settings, -nats).mean(),
        'test/active_units': active_units(found.code)}
    return {name: float(value) for name, value in scalars.items()
            if value is not None}

  return [Hook(settings.save_every, hook)]
