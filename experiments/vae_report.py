"""What a trained VAE has learned: numbers, in results.json and in a table."""

import itertools
import math
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from experiments import pixel_densities
from experiments import vae_figures
from experiments import vae_run
from genjax.data import named
from genjax.data import pipeline
from genjax.distributions.base import mean_of
from genjax.metrics import classification
from genjax.metrics.bits import bits_per_dim
from genjax.numerics import log_mean_exp
from genjax.training.state import State
from genjax.types import Params
from genjax.types import Source
from genjax.vae import objectives
from genjax.vae.model import VAE

Settings = Mapping[str, Any]

_BLOCK = 100  # examples at a time
_DRAWS = 10  # codes of each example over which the terms are means
_IMPORTANCE = 1000  # codes of each example in the tighter bound
_VALUES = 2**19  # that are decoded at a time for it
_WORK = 2**25  # of values decoded, beyond which 100 examples must do
_SAMPLES = 1500
_SMALL = 100  # values of an image, up to which it is compared with Gaussians
_FEW = 10_000  # images that may be held in memory for that

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
                    vae_run.inputs(settings, key_inputs, batch)), label

  def call(params, source, most=math.inf):
    # One key for every step: the curve then shows the model, not the noise.
    key = common.root_key(settings['seed'], 'held_out')
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
    q = vae.encode(params, x, label)
    return (terms.reconstruction, jnp.sum(terms.kl, axis=1),
            vae_run.code(vae, q, len(x)))

  call = _over_batches(settings, of_batch)

  def scores(params, source):
    (reconstruction, kl, code), label = call(params, source)
    return Scores(reconstruction, kl, code, label)

  return scores


def importance_weighted(
    settings: Settings, vae: VAE, params: Params, source: Source
) -> np.ndarray:
  """The importance-weighted bound of 1000 codes, nats [N].

  Of the first 100 examples where that of all would decode too many images.
  """
  values = math.prod(settings['shape'])
  size = min(len(source), _BLOCK)
  rows = max(rows for rows in (1, 10, 50)
             if rows == 1 or rows * size * values <= _VALUES)

  def of_batch(params, key, batch):

    def some(key):
      return objectives.log_weights(
          key, vae, params, batch['x'], batch['cond'].get('label'),
          num_samples=rows,
          index=batch['index'])

    nats = jax.lax.map(some, jax.random.split(key, _IMPORTANCE // rows))
    return log_mean_exp(nats.reshape(-1, size))

  return _over_batches(settings, of_batch)(
      params, source, max(_BLOCK, _WORK // (_IMPORTANCE * values)))[0]


def bits_name(settings: Settings) -> str:
  """What bits per dimension of the model are of: never two in one column."""
  return ('dequantised_bits_per_dim' if vae_run.is_density(settings)
          else 'bits_per_dim')


def bits(
    settings: Settings, nats: np.ndarray, *, of_pixels: bool = True
) -> np.ndarray:
  """Bits per dimension [N] of log-probabilities of images, or of their codes.
  """
  width = vae_run.level_width(settings)
  return bits_per_dim(
      nats, math.prod(settings['shape']),
      level_width=width if of_pixels and vae_run.is_density(settings) else None)


def hooks(
    settings: Settings, data: named.Data
) -> Sequence[Callable[[State, int], Mapping[str, float] | None]]:
  """Terms of the bound and active units on the held-out images."""
  if data.test is None:
    return []
  scores = make_scores(settings, vae_run.build_model(settings))
  held_out = data.test

  def hook(state, step):
    del step
    found = scores(state.averages['ema'], held_out)
    nats = found.reconstruction + found.kl
    scalars = {
        'held_out/loss': nats.mean(),
        'held_out/reconstruction': found.reconstruction.mean(),
        'held_out/kl': found.kl.mean(),
        f'held_out/{bits_name(settings)}': bits(settings, -nats).mean(),
        'held_out/active_units': _active_units(found.code)}
    return {name: float(value) for name, value in scalars.items()
            if value is not None}

  return [hook]


def report(settings: Settings, data: named.Data, workdir: str) -> str:
  """Writes results.json and figures; returns a table for people."""
  vae, params, _, step = vae_run.load_run(workdir)
  source, which = ((data.train, 'training') if data.test is None
                   else (data.test, 'held-out'))
  found = make_scores(settings, vae)(params, source)
  weighted = importance_weighted(settings, vae, params, source)
  name = bits_name(settings)
  results: dict[str, Any] = {
      'step': step, 'examples': f'{len(source)} {which}',
      'parameters': sum(x.size for x in jax.tree.leaves(params)),
      'terms': {
          term: {'nats': _mean(nats), name: _mean(
              bits(settings, -nats, of_pixels=term != 'kl'))}
          for term, nats in (
              ('reconstruction', found.reconstruction), ('kl', found.kl),
              ('negative_elbo', found.reconstruction + found.kl),
              (f'importance_weighted_{_IMPORTANCE}', -weighted))},
      f'importance_weighted_{_IMPORTANCE}_examples': len(weighted),
      'active_units': _active_units(found.code),
      'latents': vae.num_latents}
  values = math.prod(settings['shape'])
  if data.test is not None and (
      values <= _SMALL and values < len(data.train) <= _FEW):
    results |= _beside_others(settings, vae, params, data, weighted)
  common.write_json(os.path.join(workdir, 'results.json'), results)
  vae_figures.save_all(settings, vae, params, source, found.code, found.label,
                       workdir)
  return '\n'.join([*_table(settings, results, len(source)), f'{workdir} holds '
                    'results.json, figures, checkpoints, metrics.jsonl, '
                    'tensorboard'])


def _active_units(codes):
  """How many there are; None of one example, over which nothing varies."""
  return int(objectives.active_units(codes).sum()) if len(codes) > 1 else None


def _mean(values):
  return {name: float(value) for name, value
          in mean_of(jnp.asarray(values))._asdict().items()}


def _beside_others(settings, vae, params, data, weighted):
  """Densities fitted to the same pixels, and a classifier's view of samples."""
  train, test = map(pipeline.full_batch, (data.train, data.test))
  x, y = (np.asarray(vae_run.on_levels(batch['x'], settings['levels'])).reshape(
      len(batch['x']), -1) for batch in (train, test))
  width = vae_run.level_width(settings)
  densities = pixel_densities.fit_and_score(settings['seed'], x, y, width)
  results = {'dequantised_bits_per_dim': {
      'vae': {**_mean(bits(settings, weighted)), 'note': _note(settings)},
      **{name: {**_mean(bits_per_dim(density.nats, x.shape[1],
                                     level_width=width)),
                'note': density.note}
         for name, density in densities.items()}}}
  if settings['num_classes'] is None:
    return results
  label = np.arange(_SAMPLES) % settings['num_classes']
  drawn = jax.jit(lambda params: vae_run.draw(
      common.root_key(settings['seed'], 'sample'), vae, params, _SAMPLES,
      jnp.asarray(label)))(params)
  samples = pipeline.to_model_range(pipeline.to_uint8(drawn.x))
  return {**results, 'recognised': {
      'samples': classification.recognition_rate(
          samples, label, train['x'], train['cond']['label']),
      'held_out': classification.recognition_rate(
          test['x'], test['cond']['label'], train['x'],
          train['cond']['label'])}}


def _note(settings):
  note = ('' if vae_run.is_density(settings) else
          'its mass spread evenly over each level')
  if settings['num_classes'] is None:
    return note
  worth = math.log2(settings['num_classes']) / math.prod(settings['shape'])
  return (f'{note}; ' if note else '') + (
      f'it is told the class, worth at most {worth:.3f}')


def _table(settings, results, source_size):
  dequantised = ' dequantised' if vae_run.is_density(settings) else ''
  yield (f'{"step":24}{results["step"]}, {results["parameters"]} parameters, '
         f'{results["examples"]} examples')
  yield f'{"":24}{"nats":>18}{"bits/dim" + dequantised:>24}'
  for name, term in results['terms'].items():
    few = results.get(f'{name}_examples', source_size)
    yield f'{name:24}{_cell(term["nats"], 2):>18}' + (
        f'{_cell(term[bits_name(settings)], 4):>24}') + (
            '' if few == source_size else f'  of the first {few}')
  active = results['active_units']
  yield f'{"active units":24}' + (
      'unknown of one example' if active is None else
      f'{active} of {results["latents"]}' + (
          '' if active else ': the posterior has collapsed'))
  if 'recognised' in results:
    rates = results['recognised']
    yield (f'{"recognised":24}{rates["samples"]:.3f} of {_SAMPLES} samples '
           f'with observation noise, {rates["held_out"]:.3f} of held-out '
           'images')
  if 'dequantised_bits_per_dim' in results:
    yield 'bits/dim of dequantised pixels'
    for name, found in results['dequantised_bits_per_dim'].items():
      yield f'  {name:22}{_cell(found, 4):>18}  {found["note"]}'


def _cell(mean, digits):
  return f'{mean["value"]:.{digits}f} ± {mean["standard_error"]:.{digits}f}'
