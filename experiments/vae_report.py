"""What a trained VAE has learned: numbers and figures."""

import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from experiments import vae_run
from genjax.data import pipeline
from genjax.metrics.bits import bits_per_dim
from genjax.training.state import State
from genjax.types import Params
from genjax.types import Source
from genjax.vae import objectives

Settings = Mapping[str, Any]

_BLOCK = 100  # examples at a time
_DRAWS = 10  # codes of each example over which the terms are means


class Scores(NamedTuple):
  """Of N examples: the terms of their bounds, and their codes without noise."""

  reconstruction: Any  # nats [N]
  kl: Any  # nats [N]
  code: Any  # [N, Z]


def make_scores(settings: Settings) -> Callable[[Params, Source], Scores]:
  """(params, source) -> `Scores` of all its examples; compiles once."""
  vae = vae_run.build_model(settings)

  @jax.jit
  def of_batch(params, key, batch):
    key_inputs, key_codes = jax.random.split(key)
    batch = vae_run.inputs(settings, key_inputs, batch)
    x, label = batch['x'], batch.get('label')
    terms = objectives.elbo_terms(key_codes, vae, params, x, label,
                                  num_samples=_DRAWS, index=batch['index'])
    q = vae.encode(params, x, label)
    code = vae.posterior.reparameterize(q, jnp.zeros((len(x), vae.num_latents)))
    return Scores(terms.reconstruction, jnp.sum(terms.kl, axis=1), code)

  def call(params, source):
    # One key for every step: the curve then shows the model, not the noise.
    key = common.root_key(settings['seed'], 'held_out')
    parts = [
        jax.tree.map(lambda leaf, kept=batch['mask'] > 0: leaf[kept],
                     jax.device_get(of_batch(
                         params, jax.random.fold_in(key, number), batch)))
        for number, batch in enumerate(pipeline.eval_batches(
            source, min(len(source), _BLOCK)))]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

  return call


def bits_name(settings: Settings) -> str:
  """What bits per dimension of the model are of: never two in one column."""
  return ('dequantised_bits_per_dim' if vae_run.is_density(settings)
          else 'bits_per_dim')


def bits(settings: Settings, nats: np.ndarray) -> float:
  """Mean bits per dimension of log-likelihoods [N] of images."""
  width = vae_run.level_width(settings)
  return float(np.mean(bits_per_dim(
      nats, int(np.prod(settings['shape'])),
      level_width=width if vae_run.is_density(settings) else None)))


def hooks(
    settings: Settings, data: common.Data
) -> Sequence[Callable[[State, int], Mapping[str, float] | None]]:
  """Terms of the bound and active units on the held-out images."""
  if data.held_out is None:
    return []
  scores, held_out = make_scores(settings), data.held_out

  def hook(state, step):
    del step
    found = scores(state.ema, held_out)
    nats = found.reconstruction + found.kl
    return {'held_out/loss': float(nats.mean()),
            'held_out/reconstruction': float(found.reconstruction.mean()),
            'held_out/kl': float(found.kl.mean()),
            f'held_out/{bits_name(settings)}': bits(settings, -nats),
            'held_out/active_units': int(
                objectives.active_units(found.code).sum())}

  return [hook]


def report(settings: Settings, data: common.Data, workdir: str) -> str:
  """Writes results.json and figures; returns a table for people."""
  vae, params, _, step = vae_run.load_run(workdir)
  results = {'step': step}
  common.write_json(os.path.join(workdir, 'results.json'), results)
  return str(results)
