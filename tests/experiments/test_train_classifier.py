"""Classifiers and fits by their script: what it leaves, and what is in it."""

import json

import chex
import jax
import numpy as np
from PIL import Image
import pytest
from sklearn import metrics
from sklearn.decomposition import PCA

from experiments import train_classifier
from genjax.data import embedded
from genjax.data import pipeline
from genjax.discriminative import extractor_hash
from genjax.runs.classifier_data import open_data
from genjax.runs.open import open_run
from genjax.training.logs import read_metrics
from genjax.viz.figures import BLUE
from genjax.viz.figures import GREY
from genjax.viz.figures import ORANGE
from tests.figures import ink

POINTS = ('--data=toy:xor,points=64', '--width=4', '--activation=tanh',
          '--batch_size=16', '--steps=4', '--save_every=2', '--log_every=1')


def results_of(workdir):
  return json.loads((workdir / 'report.json').read_text())


@pytest.fixture(scope='module')
def points(run, tmp_path_factory):
  """A run on points in the plane: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('points') / 'run'
  return workdir, run(train_classifier, f'--workdir={workdir}', *POINTS)


@pytest.fixture(scope='module')
def digits(run, tmp_path_factory):
  """A run on images: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('digits') / 'run'
  return workdir, run(train_classifier, f'--workdir={workdir}', '--width=4,8',
                      '--batch_size=32', '--steps=30', '--mixup=0.2')


def test_training_on_points_draws_what_the_network_sees(points):
  workdir, result = points
  assert result.code == 0 and result.err == ''
  assert {p.name for p in (workdir / 'figures').iterdir()} == {
      'boundary_0000002.png', 'boundary_0000004.png', 'boundary.gif',
      'training.png'}
  with Image.open(workdir / 'figures' / 'boundary.gif') as moving:
    assert moving.n_frames == 2
  records = read_metrics(workdir / 'metrics.jsonl')
  assert [r['step'] for r in records] == [1, 2, 3, 4]
  assert ['test/accuracy' in r for r in records] == [False, True] * 2
  results = results_of(workdir)
  # Of the averaged weights, as loaded and as they were.
  for found, name in ((results['accuracy']['value'], 'accuracy'),
                      (results['loss'], 'loss')):
    assert found == pytest.approx(records[-1][f'test/{name}'], rel=1e-5)
  for name in results:
    assert name in result.out


def test_stopped_and_resumed_is_the_unbroken_run(
    run, points, stop_at, tmp_path):
  workdir = tmp_path / 'run'
  with stop_at(3):
    result = run(train_classifier, f'--workdir={workdir}', *POINTS)
  assert result.code == 0 and 'the same command' in result.out
  assert not (workdir / 'report.json').exists()
  assert run(train_classifier, f'--workdir={workdir}', *POINTS).code == 0
  ours, theirs = (open_run(str(w)).params for w in (workdir, points[0]))
  chex.assert_trees_all_equal(ours, theirs)
  assert results_of(workdir) == results_of(points[0])
  assert extractor_hash(ours) == results_of(points[0])['extractor']


def test_training_on_images_reports_the_loaded_classifier(digits):
  workdir, result = digits
  assert result.code == 0 and result.err == ''
  assert {p.name for p in (workdir / 'figures').iterdir()} == {
      'classifier.png', 'training.png'}
  results = results_of(workdir)
  run = open_run(str(workdir))
  assert run.step == results['step'] == 30
  batch = pipeline.full_batch(embedded.digits('test'))
  x, label = batch['x'], batch['cond']['label']
  p = np.asarray(jax.nn.softmax(run.predict(x)), np.float64)
  np.testing.assert_allclose(
      results['accuracy']['value'], metrics.accuracy_score(label, p.argmax(1)))
  np.testing.assert_allclose(results['loss'], metrics.log_loss(
      label, p / p.sum(1, keepdims=True)), rtol=1e-4)
  network = run.task.build(run.settings).parts
  features = np.asarray(jax.jit(network.features)(run.params, x))
  for name, a in (('pixels', x.reshape(len(x), -1)), ('features', features)):
    share = PCA().fit(a).explained_variance_ratio_
    np.testing.assert_allclose(results[f'effective_dimension/{name}'],
                               1 / np.sum(share**2), rtol=1e-3)
    assert results[f'dimensions/{name}'] == a.shape[1]
  # Learned in thirty steps, whatever else: chance is .1.
  assert results['accuracy']['low'] > 0.2


def test_training_keeps_the_settings_it_went_by(digits):
  settings = open_run(str(digits[0])).settings
  assert settings.mixup == 0.2 and settings.width == (4, 8)
  assert settings.num_examples == 1500 and settings.shape == (8, 8, 1)
  assert settings.class_names == tuple(map(str, range(10)))


def test_line_fit_is_least_squares(run, tmp_path):
  """Of all points at once, by Adam to the rate's last 2 %: three digits."""
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               '--task=regression', '--data=toy:line,points=200,slope=-1.5',
               '--batch_size=200', '--steps=600', '--learning_rate=0.05')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  source = open_data({'task': 'regression',
                      'data': 'toy:line,points=200,slope=-1.5'})
  x, y = source.train.arrays['x'].T
  slope, intercept = np.polyfit(x, y, 1)
  scale = np.std(y - slope * x - intercept)
  want = {'scale': scale, 'slope': slope, 'intercept': intercept}
  for name, atol in (('least_squares', 1e-5), ('maximum_likelihood', 2e-3)):
    for key, value in want.items():
      np.testing.assert_allclose(results[f'{name}/{key}'], value, atol=atol)
  x, y = source.test.arrays['x'].T
  squared = (y - slope * x - intercept)**2
  nats = squared / (2 * scale**2) + np.log(scale * np.sqrt(2 * np.pi))
  np.testing.assert_allclose(results['loss'], nats.mean(), atol=5e-3)
  for color in (BLUE, ORANGE, GREY):
    assert ink(tmp_path / 'run' / 'figures' / 'fit.png', color) > 1e-3


def test_curve_fit_has_features_of_its_own(run, tmp_path):
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               '--task=regression', '--data=toy:wave', '--width=5',
               '--steps=8')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  assert 'least_squares/slope' not in results
  assert results['least_squares/scale'] <= results['maximum_likelihood/scale']


def test_folder_without_held_out_images_is_judged_on_its_own(
    run, write_pictures, tmp_path):
  for name in 'ab':
    write_pictures(tmp_path / 'data' / name, 8, size=8)
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               f'--data=folder:{tmp_path}/data', '--image_size=8', '--width=4',
               '--batch_size=8', '--steps=2')
  assert result.code == 0 and result.err == ''
  assert results_of(tmp_path / 'run')['examples'] == '16 training'


BAD = [
    ('--data=toy:moon', ['moons', "'moon'"]),
    ('--data=toy:line', ['moons', "'line'"]),
    ('--task=regression --data=toy:moons', ['line', 'wave', "'moons'"]),
    ('--task=regression --data=digits', ['--data', 'toy set', 'digits']),
    ('--data=toy:moons,turns=2', ['moons', 'noise', 'points', "'turns'"]),
    ('--data=toy:moons,noise=much', ['noise', "'much'"]),
    ('--data=toy:moons,noise=nan', ['noise', 'finite', "'nan'"]),
    ('--data=toy:moons,points=0', ['points', '0']),
    ('--data=toy:moons,points=1.5', ['points', '1.5']),
    ('--data=toy:moons --held_out=0.1', ['--held_out', '0.1']),
    ('--data=toy:moons --width=0', ['--width', '0']),
    ('--data=toy:moons --batch_size=12', ['--batch_size', '8 devices', '12']),
    ('--width=', ['--width']),
    ('--width=8,8,8,8,8', ['multiples of 16', '8 x 8']),
    ('--activation=tanh', ['--activation', 'tanh']),
    ('--activation=step', ['activation', 'step', 'relu']),
    ('--shift=1 --data=toy:moons', ['--shift', 'points', '1']),
    ('--mixup=inf', ['mixup', 'inf']),
    ('--label_smoothing=2', ['label_smoothing', '2']),
    ('--mixup=-1', ['mixup', '-1']),
    ('--task=regression --mixup=0.1', ['--mixup', 'regression', '0.1']),
    ('--data=folder:{flat} --image_size=8', ['--data', 'classes', '{flat}']),
    ('--workdir={points} --data=toy:xor', ['--workdir', '{points}', '=']),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0] for row in BAD])
def test_training_says_what_is_wrong_in_one_line(
    run, points, write_pictures, files_of, tmp_path, args, said):
  at = {'flat': tmp_path / 'flat', 'points': points[0]}
  if '{flat}' in args:
    write_pictures(at['flat'], 8, size=8)
  before = files_of(tmp_path), files_of(points[0])
  result = run(train_classifier, f'--workdir={tmp_path}/new',
               *args.format(**at).split())
  result.check_refusal('train_classifier',
                       (part.format(**at) for part in said))
  assert (files_of(tmp_path), files_of(points[0])) == before


@pytest.mark.slow
@pytest.mark.parametrize('args, least', [
    ((), 0.985), (('--data=toy:spirals,turns=2,noise=0.05',), 0.99)])
def test_recipes_reach_their_accuracy(run, tmp_path, args, least):
  result = run(train_classifier, f'--workdir={tmp_path}/run', *args)
  assert result.code == 0 and result.err == ''
  assert results_of(tmp_path / 'run')['accuracy']['value'] >= least
