"""What a trained VAE has learned: numbers, and the figures of `vae_figures`."""

import math
import os
from typing import Sequence

import jax
import numpy as np

from genjax.data import named
from genjax.data import pipeline
from genjax.data.levels import level_width
from genjax.data.levels import on_levels
from genjax.files import write_json
from genjax.metrics import classification
from genjax.metrics import pixel_densities
from genjax.metrics.bits import bits_per_dim
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean
from genjax.reports import vae_figures
from genjax.reports.draws import draw
from genjax.reports.table import Cell
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import vae_scores
from genjax.runs.task import Run
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import num_classes
from genjax.runs.vae_settings import Settings
from genjax.types import Source

_SAMPLES = 1500
_SMALL = 100  # values of an image, up to which it is compared with Gaussians
_FEW = 10_000  # images that may be held in memory for that


def report(run: Run, data: named.Data, workdir: str) -> Sequence[Table]:
  """Writes report.json and figures; returns tables of what was measured.

  They are of the run; of the terms of its bounds; and, of small images with
  test data, of densities fitted to the same pixels.

  Args:
    run: as opened, of averaged weights.
    data: what it was trained on; it is judged by the test data if any.
    workdir: of the run.
  """
  settings, vae = run.settings, run.task.build(run.settings).parts
  source, which = ((data.train, 'training') if data.test is None
                   else (data.test, 'test'))
  found = vae_scores.make_scores(settings, vae)(run.params, source)
  weighted = vae_scores.importance_weighted(settings, vae, run.params, source)
  active = vae_scores.active_units(found.code)
  facts: list[tuple[Cell, ...]] = [
      ('step', run.step, ''),
      ('parameters', sum(x.size for x in jax.tree.leaves(run.params)), ''),
      ('examples', len(source), which),
      ('latents', vae.num_latents, ''),
      ('active_units', active, 'unknown of one example' if active is None else
       '' if active else 'the posterior has collapsed')]
  tables = [_terms(settings, found, weighted)]
  values = math.prod(settings.shape)
  if data.test is not None and (
      values <= _SMALL and values < len(data.train) <= _FEW):
    tables.append(_densities(settings, (data.train, data.test), weighted))
    if num_classes(settings) is not None:
      facts += _recognised(run, (data.train, data.test))
  about = make_table(['name', 'value', 'note'], facts)
  write_json(os.path.join(workdir, 'report.json'), {
      **{name: record['value'] for name, record in records(about).items()},
      **dict(zip(('terms', 'densities'), map(records, tables)))})
  vae_figures.save_all(run, vae, source, found.code, found.label, workdir)
  return [about, *tables]


def _mean(values: np.ndarray) -> Estimate:
  """Mean of values [N], without an interval where there is but one."""
  return of_mean(values) if len(values) > 1 else Estimate(
      float(values[0]), math.nan, math.nan)


def _terms(
    settings: Settings, found: vae_scores.Scores, weighted: np.ndarray
) -> Table:
  of = ' dequantised' if is_density(settings) else ''
  rows = [(term, _mean(nats), _mean(vae_scores.bits(
      settings, -nats, of_pixels=term != 'kl')), len(nats))
          for term, nats in (
              ('reconstruction', found.reconstruction), ('kl', found.kl),
              ('negative_elbo', found.reconstruction + found.kl),
              (f'importance_weighted_{vae_scores.IMPORTANCE}', -weighted))]
  return make_table(
      ['term', Column('nats', digits='.2f'),
       Column(vae_scores.bits_name(settings), f'bits/dim{of}', '.4f'),
       'examples'], rows)


def _densities(
    settings: Settings, data: Sequence[Source], weighted: np.ndarray
) -> Table:
  """The model beside densities fitted to the pixels of (train, test) data."""
  train, test = (np.asarray(on_levels(pipeline.full_batch(source)['x'],
                                      settings.levels)).reshape(len(source), -1)
                 for source in data)
  width = level_width(settings.levels)
  others = pixel_densities.fit_and_score(settings.seed, train, test, width)
  rows: list[tuple[Cell, ...]] = [
      ('vae', _mean(vae_scores.bits(settings, weighted)), _note(settings))]
  for name, density in others.items():
    rows.append((name, _mean(bits_per_dim(
        density.nats, train.shape[1], level_width=width)), density.note))
  return make_table(
      ['density', Column('dequantised_bits_per_dim',
                         'bits/dim of dequantised pixels', '.4f'), 'note'],
      rows)


def _note(settings: Settings) -> str:
  notes = [] if is_density(settings) else [
      'its mass spread evenly over each level']
  classes = num_classes(settings)
  if classes is not None:
    worth = math.log2(classes) / math.prod(settings.shape)
    notes.append(f'it is told the class, worth at most {worth:.3f}')
  return '; '.join(notes)


def _recognised(
    run: Run, data: Sequence[Source]
) -> Sequence[tuple[Cell, ...]]:
  """Shares that a classifier gives the class that was meant."""
  label = np.arange(_SAMPLES) % len(run.settings.class_names)
  samples = pipeline.to_model_range(
      draw('run', run, _SAMPLES, label, run.settings.seed))
  train, test = (pipeline.full_batch(source) for source in data)
  told = train['x'], train['cond']['label']
  return [
      ('recognised_samples', classification.recognition_rate(
          samples, label, *told), f'of {_SAMPLES}, with observation noise'),
      ('recognised_test', classification.recognition_rate(
          test['x'], test['cond']['label'], *told), 'of the test images')]
