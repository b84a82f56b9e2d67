"""Classifiers and fits by their script: what it leaves, and what is in it."""

import json
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
from sklearn import metrics
from sklearn.decomposition import PCA

from experiments import classifier_report
from experiments import classifier_run
from experiments import common
from experiments import playground
from experiments import train_classifier
from genjax.data import embedded
from genjax.data import named
from genjax.data import pipeline
from genjax.training.logs import read_metrics

POINTS = ('--data=toy:xor,points=64', '--width=4', '--activation=tanh',
          '--batch_size=16', '--steps=4', '--save_every=2', '--log_every=1')


def results_of(workdir):
  return json.loads((workdir / 'results.json').read_text())


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
  assert ['held_out/accuracy' in r for r in records] == [False, True] * 2
  results = results_of(workdir)
  # Of the averaged weights, as loaded and as they were.
  for found, name in ((results['accuracy']['value'], 'accuracy'),
                      (results['loss'], 'loss')):
    assert found == pytest.approx(records[-1][f'held_out/{name}'], rel=1e-5)
  for name in results:
    assert name in result.out


def test_stopped_and_resumed_is_the_unbroken_run(
    run, points, stop_at, tmp_path):
  workdir = tmp_path / 'run'
  with stop_at(3):
    result = run(train_classifier, f'--workdir={workdir}', *POINTS)
  assert result.code == 130 and 'the same command' in result.out
  assert not (workdir / 'results.json').exists()
  assert run(train_classifier, f'--workdir={workdir}', *POINTS).code == 0
  ours, theirs = (classifier_run.load_run(str(w))
                  for w in (workdir, points[0]))
  chex.assert_trees_all_equal(ours[1], theirs[1])
  assert results_of(workdir) == results_of(points[0])
  assert classifier_run.extractor_hash(ours[1]) == (
      results_of(points[0])['extractor'])


def test_training_on_images_reports_the_loaded_classifier(digits):
  workdir, result = digits
  assert result.code == 0 and result.err == ''
  assert {p.name for p in (workdir / 'figures').iterdir()} == {
      'classifier.png', 'training.png'}
  results = results_of(workdir)
  model, params, step = classifier_run.load_run(str(workdir))
  assert step == results['step'] == 30
  batch = pipeline.full_batch(embedded.digits('test'))
  x, label = batch['x'], batch['cond']['label']
  p = np.asarray(jax.nn.softmax(model.logits(params, x)), np.float64)
  np.testing.assert_allclose(
      results['accuracy']['value'], metrics.accuracy_score(label, p.argmax(1)))
  np.testing.assert_allclose(results['loss'], metrics.log_loss(
      label, p / p.sum(1, keepdims=True)), rtol=1e-4)
  features = np.asarray(model.features(params, x))
  for name, a in (('pixels', x.reshape(len(x), -1)), ('features', features)):
    share = PCA().fit(a).explained_variance_ratio_
    np.testing.assert_allclose(results['effective_dimension'][name],
                               1 / np.sum(share**2), rtol=1e-3)
    assert results['dimensions'][name] == a.shape[1]
  # Learned in thirty steps, whatever else: chance is .1.
  assert results['accuracy']['low'] > 0.2


def test_training_keeps_the_settings_it_went_by(digits):
  settings = common.read_settings(str(digits[0]))
  assert settings['mixup'] == 0.2 and settings['width'] == [4, 8]
  assert settings['num_examples'] == 1500 and settings['shape'] == [8, 8, 1]
  assert settings['class_names'] == [str(i) for i in range(10)]


def test_line_fit_is_least_squares(run, tmp_path):
  """Of all points at once, by Adam to the rate's last 2 %: three digits."""
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               '--task=regression', '--data=toy:line,points=200,slope=-1.5',
               '--batch_size=200', '--steps=600', '--learning_rate=0.05')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  source = playground.open_points('line,points=200,slope=-1.5', 'regression',
                                  seed=0)
  x, y = source.train.arrays['x'].T
  slope, intercept = np.polyfit(x, y, 1)
  scale = np.std(y - slope * x - intercept)
  want = {'scale': scale, 'slope': slope, 'intercept': intercept}
  for name, atol in (('least_squares', 1e-5), ('maximum_likelihood', 2e-3)):
    for key, value in want.items():
      np.testing.assert_allclose(results[name][key], value, atol=atol)
  x, y = source.test.arrays['x'].T
  squared = (y - slope * x - intercept)**2
  nats = squared / (2 * scale**2) + np.log(scale * np.sqrt(2 * np.pi))
  np.testing.assert_allclose(results['loss'], nats.mean(), atol=5e-3)
  assert (tmp_path / 'run' / 'figures' / 'fit.png').is_file()


def test_curve_fit_has_features_of_its_own(run, tmp_path):
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               '--task=regression', '--data=toy:wave', '--width=5',
               '--steps=8')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  assert set(results['least_squares']) == {'scale'}
  assert results['least_squares']['scale'] <= (
      results['maximum_likelihood']['scale'])


def test_folder_without_held_out_images_is_judged_on_its_own(
    run, write_pictures, tmp_path):
  for name in 'ab':
    write_pictures(tmp_path / 'data' / name, 8, size=8)
  result = run(train_classifier, f'--workdir={tmp_path}/run',
               f'--data=folder:{tmp_path}/data', '--image_size=8', '--width=4',
               '--batch_size=8', '--steps=2')
  assert result.code == 0 and result.err == ''
  assert results_of(tmp_path / 'run')['examples'] == '16 training'


@pytest.mark.parametrize('name, curve', [
    ('line', lambda x: 0.8 * x - 0.3), ('wave', lambda x: np.sin(2 * x))])
def test_open_points_of_a_curve_lie_on_it(name, curve):
  data = playground.open_points(f'{name},noise=0', 'regression', seed=0)
  for source in data:
    x, y = source.arrays['x'].T
    np.testing.assert_allclose(y, curve(x), atol=1e-5)
  assert not np.any(np.isin(data.train.arrays['x'][:, 0],
                            data.test.arrays['x'][:, 0]))


def test_toy_sets_take_options_in_every_script():
  spec = 'spirals,turns=0.5,noise=0,points=50'
  data = playground.open_points(spec, 'classification', seed=0)
  other = named.open_data(f'toy:{spec}', image_size=None, held_out=0, seed=0)
  x, label = (data.train.arrays[k] for k in ('x', 'label'))
  np.testing.assert_array_equal(other.train.arrays['x'], x)
  assert len(data.train) == len(data.test) == 50
  assert len(other.test) == 4  # a sixteenth
  # Half a turn: the first arm stays in the upper half plane.
  assert np.all(np.where(label == 0, x[:, 1], -x[:, 1]) > -1e-5)


def test_in_two_dimensions_is_principal_components_with_signs_of_their_own():
  x = np.random.default_rng(0).normal(size=(50, 4)) * [1, 3, 2, 0.5]
  want = PCA(2).fit(x)
  seen, names = classifier_report.in_two_dimensions(x.astype(np.float32))
  turned = np.abs(want.transform(x) * seen).sum(0) / np.abs(
      np.sum(want.transform(x) * seen, 0))
  np.testing.assert_allclose(np.abs(seen), np.abs(want.transform(x)),
                             atol=1e-4)
  np.testing.assert_allclose(turned, 1, rtol=1e-5)  # one sign throughout
  assert f'{want.explained_variance_ratio_[1]:.0%}' in names[1]
  again, _ = classifier_report.in_two_dimensions(x[::-1].astype(np.float32))
  np.testing.assert_allclose(again[::-1], seen, atol=1e-4)


def test_in_two_dimensions_of_one_feature_is_flat():
  seen, _ = classifier_report.in_two_dimensions(np.arange(4.0)[:, None])
  assert seen.shape == (4, 2) and not np.any(seen[:, 1])


def test_extractor_hash_is_of_the_extractor_alone():
  def params(w=1.0, head=0.0, name='w', shape=(2, 2)):
    return {'extractor': {name: jnp.full(shape, w)}, 'head': jnp.array(head)}

  name = classifier_run.extractor_hash(params())
  assert len(name) == 12 and int(name, 16) >= 0
  assert name == classifier_run.extractor_hash(params(head=1.0))
  for other in (params(2.0), params(name='v'), params(shape=(4, 1))):
    assert name != classifier_run.extractor_hash(other)


def test_in_blocks_is_the_function_of_all():
  x = np.arange(1203.0, dtype=np.float32)[:, None]
  call = classifier_run.in_blocks(lambda params, x: params * x)
  np.testing.assert_array_equal(call(2.0, x), 2 * x)


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


def test_load_run_refuses_other_runs(digits_run, points, tmp_path):
  with pytest.raises(ValueError, match='run of train_classifier'):
    classifier_run.load_run(str(digits_run))
  bare = shutil.copytree(points[0], tmp_path / 'bare',
                         ignore=shutil.ignore_patterns('checkpoints'))
  with pytest.raises(ValueError, match='must hold a checkpoint'):
    classifier_run.load_run(str(bare))


@pytest.mark.slow
@pytest.mark.parametrize('args, least', [
    ((), 0.985), (('--data=toy:spirals,turns=2,noise=0.05',), 0.99)])
def test_recipes_reach_their_accuracy(run, tmp_path, args, least):
  result = run(train_classifier, f'--workdir={tmp_path}/run', *args)
  assert result.code == 0 and result.err == ''
  assert results_of(tmp_path / 'run')['accuracy']['value'] >= least
