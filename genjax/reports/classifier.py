"""What a trained extractor and head have learned: numbers and figures."""

import functools
import glob
import os
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from genjax import discriminative
from genjax.data import named
from genjax.data import pipeline
from genjax.discriminative import in_blocks
from genjax.files import write_json
from genjax.metrics.calibration import calibration
from genjax.metrics.classification import likeliest
from genjax.metrics.estimate import share
from genjax.reports import curves
from genjax.reports.table import Cell
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import classifier
from genjax.runs.task import Run
from genjax.runs.task import Session
from genjax.training.loop import Hook
from genjax.types import Batch
from genjax.viz import classifiers
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

_MOST = 2000  # examples whose principal components are found, or are drawn
_CURVES = (
    curves.Curve('loss', 'loss', 'nats'),
    curves.Curve('accuracy', 'accuracy', 'share'),
    curves.Curve('squared_error', 'squared error', 'squared units'))
_LIMIT, _GRID = 2.4, 120  # of the map of a decision

# x [N, ...] -> [N, F].
Forward = Callable[[np.ndarray], np.ndarray]


def hooks(session: Session) -> list[Hook]:
  """Figures of what the network sees, where it classifies points."""
  settings, data = session.settings, session.data
  if settings.shape != (2,) or settings.task == 'regression':
    return []
  logits, features = map(jax.jit, (session.model.parts.logits,
                                   session.model.parts.features))
  batch = pipeline.full_batch(data.test)
  x, label = batch['x'][:_MOST], batch['cond']['label'][:_MOST]
  line = np.linspace(-_LIMIT, _LIMIT, _GRID, dtype=np.float32)
  mesh = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)

  def hook(state, step):
    predict, see = (functools.partial(
        in_blocks, functools.partial(f, state.averages['ema']))
                    for f in (logits, features))
    accuracy = classifier.scores(settings, batch, predict)['accuracy']
    seen, names = discriminative.in_two_dimensions(see(x))
    classifiers.save_boundary(
        _boundary_path(session.workdir, f'_{step:07d}.png'), x, label,
        np.asarray(jax.nn.softmax(predict(mesh))).reshape(
            _GRID, _GRID, -1), _LIMIT, seen, names,
        f'step {step}: {accuracy:.1%} of test points right')

  return [Hook(settings.save_every, hook)]


def _boundary_path(workdir: str, ending: str) -> str:
  return os.path.join(workdir, 'figures', f'boundary{ending}')


def report(run: Run, data: named.Data, workdir: str) -> Table:
  """Writes report.json and figures; returns a table of what was measured.

  Args:
    run: as opened, of averaged weights.
    data: what it was trained on; it is judged by the test data if any.
    workdir: of the run.
  """
  settings = run.settings
  source = data.train if data.test is None else data.test
  which = 'training' if data.test is None else 'test'
  batch = pipeline.full_batch(source)
  network = run.task.build(settings).parts
  predict, see = (
      functools.partial(in_blocks, functools.partial(jax.jit(f), run.params))
      for f in (network.logits, network.features))
  results: dict[str, Cell] = {
      'step': run.step, 'examples': f'{len(source)} {which}',
      'parameters': sum(x.size for x in jax.tree.leaves(run.params))}
  if 'extractor' in run.params:
    results['extractor'] = discriminative.extractor_hash(run.params)
  results |= classifier.scores(settings, batch, predict)
  curves.draw(workdir, _CURVES)
  if settings.task == 'regression':
    results |= _report_fit(run, data, predict, see, workdir)
  else:
    results |= _report_classes(settings, batch, predict, see, workdir)
  table = make_table(['name', Column('value', digits='.4g')],
                     list(results.items()))
  write_json(os.path.join(workdir, 'report.json'), {
      name: record['value'] for name, record in records(table).items()})
  return table


def _report_classes(
    settings: classifier.Settings, batch: Batch, predict: Forward,
    see: Forward, workdir: str
) -> dict[str, Cell]:
  outputs = predict(batch['x'])
  label, said = batch['cond']['label'], likeliest(outputs)
  reliability = calibration(np.asarray(jax.nn.softmax(outputs)), label)
  results: dict[str, Cell] = {'accuracy': share(said == label),
                              'calibration_error': reliability.error}
  if settings.shape == (2,):
    classifiers.save_animation(
        _boundary_path(workdir, '.gif'),
        sorted(glob.glob(_boundary_path(glob.escape(workdir), '_*.png'))))
    return results
  x = batch['x'][:_MOST]
  features, spectra = see(x), []
  for name, a in (('pixels', x), ('features', features)):
    rows = jnp.asarray(a.reshape(len(a), -1))
    variances = discriminative.principal_components(rows).variances
    dimension = float(discriminative.effective_dimension(variances))
    spectra.append(classifiers.Spectrum(name, np.asarray(variances),
                                        dimension))
    results |= {f'dimensions/{name}': rows.shape[1],
                f'effective_dimension/{name}': dimension}
  confusion = np.zeros((len(settings.class_names),) * 2, int)
  known = said >= 0
  np.add.at(confusion, (label[known], said[known]), 1)
  seen, names = discriminative.in_two_dimensions(features)
  classifiers.save_classifier(
      os.path.join(workdir, 'figures', 'classifier.png'),
      [figures.plain(name) for name in settings.class_names], confusion,
      classifiers.Reliability(reliability.confidence, reliability.accuracy,
                              reliability.count, reliability.error),
      classifiers.Map(seen, label[:_MOST], names), spectra)
  return results


def _report_fit(
    run: Run, data: named.Data, predict: Forward, see: Forward, workdir: str
) -> dict[str, Cell]:
  """Beside least squares on the same features: where training is going.

  A line is there at once, as its features do not change.
  """
  inputs, y = np.split(pipeline.full_batch(data.train)['x'], [1], axis=1)
  y = y[:, 0].astype(np.float64)

  def design(x):
    return np.column_stack([see(x), np.ones(len(x))])

  solution, *_ = np.linalg.lstsq(design(inputs), y, rcond=None)
  residual = y - design(inputs) @ solution
  params: Any = run.params
  found: dict[str, Cell] = {
      'maximum_likelihood/scale': float(np.exp(params['constants'][0])),
      'least_squares/scale': float(np.sqrt(np.mean(residual**2)))}
  if not run.settings.width:
    head = params['head']
    for name, (slope, intercept) in (
        ('maximum_likelihood', (*head['kernel'][:, 0], *head['bias'])),
        ('least_squares', solution)):
      found |= {f'{name}/slope': float(slope),
                f'{name}/intercept': float(intercept)}

  grid = np.linspace(inputs.min(), inputs.max(), 400,
                     dtype=np.float32)[:, None]
  loc, log_scale = predict(grid).T
  band = np.stack([loc - 2 * np.exp(log_scale), loc + 2 * np.exp(log_scale)])
  save_panels(os.path.join(workdir, 'figures', 'fit.png'), [[Panel(
      'A fit by maximum likelihood', 'input', 'target', [
          Layer('dots', inputs[:, 0], y, color=figures.GREY),
          Layer('band', grid[:, 0], band, 'mean ± 2 scales'),
          Layer('line', grid[:, 0], loc, 'mean'),
          Layer('dashed', grid[:, 0], design(grid) @ solution,
                'least squares on the same features', figures.ORANGE)])]],
              width=6, height=4)
  return found
