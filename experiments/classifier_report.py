"""What a trained extractor and head have learned: numbers and figures."""

import glob
import os
from typing import Any, Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import classifier_run
from experiments import common
from experiments import training_run
from experiments.training_run import Curve
from genjax import discriminative
from genjax.data import named
from genjax.data import pipeline
from genjax.metrics.calibration import calibration
from genjax.metrics.classification import likeliest
from genjax.metrics.estimate import share
from genjax.training.state import State
from genjax.types import Params
from genjax.viz import classifiers
from genjax.viz import figures
from genjax.viz.figures import plain
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

Settings = Mapping[str, Any]

_MOST = 2000  # examples whose principal components are found, or are drawn
_CURVES = (
    Curve('loss', 'loss', 'nats'), Curve('accuracy', 'accuracy', 'share'),
    Curve('squared_error', 'squared error', 'squared units'))
_LIMIT, _GRID = 2.4, 120  # of the map of a decision


def hooks(
    settings: Settings, data: named.Data, workdir: str
) -> Sequence[Callable[[State, int], Mapping[str, float] | None]]:
  """Held-out scores, and on points in the plane what the network sees."""
  model = classifier_run.build_model(settings)
  found = []
  if data.test is not None:
    logits = classifier_run.in_blocks(model.logits)
    held_out = pipeline.full_batch(data.test)
    found.append(lambda state, step: {
        f'held_out/{name}': value for name, value in scores(
            settings, held_out,
            logits(state.averages['ema'], inputs(settings, held_out))).items()})
  if settings['shape'] == [2] and not classifier_run.is_regression(settings):
    found.append(_boundary_hook(model, data, workdir))
  return found


def inputs(settings: Settings, batch: pipeline.Batch) -> np.ndarray:
  """What the network is given of a batch: all, or all but the target."""
  x = batch['x']
  return x[:, :-1] if classifier_run.is_regression(settings) else x


def scores(
    settings: Settings, batch: pipeline.Batch, outputs: np.ndarray
) -> dict[str, float]:
  """Loss in nats, and accuracy or squared error, of outputs [N, K]."""
  if classifier_run.is_regression(settings):
    loc, log_scale = outputs.T
    squared = np.square(batch['x'][:, -1] - loc)
    nats = (squared / (2 * np.exp(2 * log_scale)) + log_scale
            + np.log(2 * np.pi) / 2)
    return {'loss': float(nats.mean()), 'squared_error': float(squared.mean())}
  log_p = np.asarray(jax.nn.log_softmax(outputs))
  right = likeliest(outputs) == batch['cond']['label']
  rows = np.arange(len(right)), batch['cond']['label']
  return {'loss': -float(log_p[rows].mean()),
          'accuracy': float(right.mean())}


def _boundary_hook(model, data, workdir):
  logits, features = map(classifier_run.in_blocks,
                         (model.logits, model.features))
  batch = pipeline.full_batch(data.test)
  x, label = batch['x'][:_MOST], batch['cond']['label'][:_MOST]
  line = np.linspace(-_LIMIT, _LIMIT, _GRID, dtype=np.float32)
  mesh = np.stack(np.meshgrid(line, line), -1)

  def hook(state, step):
    said = logits(state.averages['ema'], mesh.reshape(-1, 2))
    accuracy = np.mean(likeliest(logits(state.averages['ema'], batch['x']))
                       == batch['cond']['label'])
    seen, names = in_two_dimensions(features(state.averages['ema'], x))
    classifiers.save_boundary(
        _boundary_path(workdir, f'_{step:07d}.png'), x, label,
        np.asarray(jax.nn.softmax(said)).reshape(_GRID, _GRID, -1), _LIMIT,
        seen, names, f'step {step}: {accuracy:.1%} of held-out points right')

  return hook


def _boundary_path(workdir, ending):
  return os.path.join(workdir, 'figures', f'boundary{ending}')


def in_two_dimensions(
    features: np.ndarray
) -> tuple[np.ndarray, tuple[str, str]]:
  """Features [N, F] on their first two principal components, and names."""
  found = discriminative.principal_components(jnp.asarray(features))
  # A component has no sign: one of its own keeps an animation from jumping.
  directions = np.asarray(found.directions[:2])
  sign = np.sign(directions[np.arange(len(directions)),
                            np.abs(directions).argmax(1)])
  seen = (features - found.mean) @ (sign[:, None] * directions).T
  part = np.asarray(found.variances / found.variances.sum())
  names = [f'component {i + 1}: {part[i]:.0%} of the variance'
           for i in range(len(directions))]
  if len(names) < 2:
    return np.pad(seen, [(0, 0), (0, 1)]), (names[0], '')
  return seen, (names[0], names[1])


def report(settings: Settings, data: named.Data, workdir: str) -> str:
  """Writes results.json and figures; returns a table for people."""
  model, params, step = classifier_run.load_run(workdir)
  source = data.train if data.test is None else data.test
  which = 'training' if data.test is None else 'held-out'
  batch = pipeline.full_batch(source)
  outputs = classifier_run.in_blocks(model.logits)(
      params, inputs(settings, batch))
  results: dict[str, Any] = {
      'step': step, 'examples': f'{len(source)} {which}',
      'parameters': sum(x.size for x in jax.tree.leaves(params))}
  if 'extractor' in params:
    results['extractor'] = classifier_run.extractor_hash(params)
  results |= scores(settings, batch, outputs)
  training_run.draw(workdir, _CURVES)
  if classifier_run.is_regression(settings):
    results |= _report_fit(settings, data, model, params, workdir)
  else:
    results |= _report_classes(settings, batch, outputs, model, params,
                               workdir)
  common.write_json(os.path.join(workdir, 'results.json'), results)
  lines = [f'{name:20} {_cell(value)}' for name, value in results.items()]
  return '\n'.join([*lines, f'{workdir} holds results.json, figures, '
                    'checkpoints, metrics.jsonl, tensorboard'])


def _cell(value):
  if isinstance(value, dict):
    return ', '.join(f'{name} {_cell(part)}' for name, part in value.items())
  return f'{value:.4g}' if isinstance(value, float) else str(value)


def _report_classes(settings, batch, outputs, model, params, workdir):
  probabilities = np.asarray(jax.nn.softmax(outputs))
  label, said = batch['cond']['label'], likeliest(outputs)
  reliability = calibration(probabilities, label)
  results = {'accuracy': share(said == label)._asdict(),
             'calibration_error': reliability.error}
  if settings['shape'] == [2]:
    classifiers.save_animation(
        _boundary_path(workdir, '.gif'),
        sorted(glob.glob(_boundary_path(glob.escape(workdir), '_*.png'))))
    return results
  x = batch['x'][:_MOST]
  features = classifier_run.in_blocks(model.features)(params, x)
  variances = {
      name: np.asarray(discriminative.principal_components(
          jnp.asarray(a.reshape(len(a), -1))).variances)
      for name, a in (('pixels', x), ('features', features))}
  dimensions = {name: float(discriminative.effective_dimension(jnp.asarray(v)))
                for name, v in variances.items()}
  confusion = np.zeros((settings['num_classes'],) * 2, int)
  known = said >= 0
  np.add.at(confusion, (label[known], said[known]), 1)
  seen, names = in_two_dimensions(features)
  classifiers.save_classifier(
      os.path.join(workdir, 'figures', 'classifier.png'),
      [plain(name) for name in settings['class_names']], confusion,
      classifiers.Reliability(reliability.confidence, reliability.accuracy,
                              reliability.count, reliability.error),
      classifiers.Map(seen, label[:_MOST], names),
      [classifiers.Spectrum(name, v, dimensions[name])
       for name, v in variances.items()])
  return {**results, 'dimensions': {'pixels': x[0].size,
                                    'features': features.shape[1]},
          'effective_dimension': dimensions}


def _report_fit(settings, data, model, params: Params, workdir):
  """Beside least squares on the same features: where training is going.

  A line is there at once, as its features do not change.
  """
  batch = pipeline.full_batch(data.train)
  x, y = batch['x'].T.astype(np.float64)
  features = classifier_run.in_blocks(model.features)(
      params, inputs(settings, batch))
  design = np.column_stack([features, np.ones(len(y))])
  solution, *_ = np.linalg.lstsq(design, y, rcond=None)
  residual = y - design @ solution
  head = params['head']
  found = {
      'maximum_likelihood': {'scale': float(np.exp(params['constants'][0]))},
      'least_squares': {'scale': float(np.sqrt(np.mean(residual**2)))}}
  if not settings['width']:
    for name, (slope, intercept) in (
        ('maximum_likelihood', (*head['kernel'][:, 0], *head['bias'])),
        ('least_squares', solution)):
      found[name] |= {'slope': float(slope), 'intercept': float(intercept)}

  grid = np.linspace(x.min(), x.max(), 400, dtype=np.float32)[:, None]
  outputs = classifier_run.in_blocks(model.logits)(params, grid)
  loc, scale = outputs[:, 0], np.exp(outputs[:, 1])
  seen = classifier_run.in_blocks(model.features)(params, grid)
  least = np.column_stack([seen, np.ones(len(grid))]) @ solution
  save_panels(os.path.join(workdir, 'figures', 'fit.png'), [[Panel(
      'A fit by maximum likelihood', 'input', 'target', [
          Layer('dots', x, y, color=figures.GREY),
          Layer('band', grid[:, 0], np.stack([loc - 2 * scale,
                                              loc + 2 * scale]),
                'mean ± 2 scales'),
          Layer('line', grid[:, 0], loc, 'mean'),
          Layer('dashed', grid[:, 0], least,
                'least squares on the same features', figures.ORANGE)])]],
              width=6, height=4)
  return found
