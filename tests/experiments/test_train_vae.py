"""VAEs by their script: what it leaves, and what is in it."""

import json
import math
import re

import chex
import jax
import numpy as np
import pytest

from experiments import train_vae
from experiments import vae_bounds
from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics import classification
from genjax.metrics import pixel_densities
from genjax.reports import vae as report
from genjax.runs import keys
from genjax.runs.open import open_run
from genjax.runs.vae_settings import inputs
from genjax.training.logs import read_metrics
from genjax.vae import objectives
from genjax.vae.distribution import draw
from genjax.viz.figures import BLUE
from genjax.viz.figures import ORANGE
from tests.figures import BARE
from tests.figures import ink

pytestmark = pytest.mark.usefixtures('few_dots')

TINY = ('--width=8', '--latents=3', '--batch_size=16', '--steps=4',
        '--save_every=2', '--log_every=1')


def results_of(workdir):
  return json.loads((workdir / 'report.json').read_text())


@pytest.fixture(scope='module')
def digits(run, tmp_path_factory):
  """A class-conditional run on digits: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('digits') / 'run'
  return workdir, run(train_vae, f'--workdir={workdir}', *TINY)


def test_training_leaves_curves_figures_and_numbers(digits):
  workdir, result = digits
  assert result.code == 0 and result.err == ''
  figures = ('latent', 'manifold', 'reconstructions', 'samples', 'training')
  assert {p.name for p in (workdir / 'figures').iterdir()} == {
      f'{name}.png' for name in figures}
  for name in ('manifold', 'reconstructions', 'samples'):
    assert ink(workdir / 'figures' / f'{name}.png') > 2 * BARE
  assert ink(workdir / 'figures' / 'latent.png') > BARE / 2
  for color in (BLUE, ORANGE):
    assert ink(workdir / 'figures' / 'training.png', color) > 2e-4
  records = read_metrics(workdir / 'metrics.jsonl')
  assert [r['step'] for r in records] == [1, 2, 3, 4]
  for name in ('reconstruction', 'kl', 'active_units', 'bits_per_dim'):
    assert [f'test/{name}' in r for r in records] == [False, True] * 2
  results = results_of(workdir)
  # Of the averaged weights, as loaded and as they were.
  for term in ('reconstruction', 'kl'):
    assert results['terms'][term]['nats']['value'] == pytest.approx(
        records[-1][f'test/{term}'], rel=1e-5)
  assert results['terms']['importance_weighted_1000']['examples'] == 297
  for said in (*results['terms'], 'active_units', 'recognised', 'mixture',
               'told the class, worth at most 0.052'):
    assert said in result.out


def test_terms_add_up_in_nats_and_in_bits(digits):
  terms = results_of(digits[0])['terms']
  value = {name: term['nats']['value'] for name, term in terms.items()}
  assert value['negative_elbo'] == pytest.approx(
      value['reconstruction'] + value['kl'], rel=1e-6)
  assert value['importance_weighted_1000'] < value['negative_elbo']
  assert value['kl'] > 0
  for name, term in terms.items():
    assert term['bits_per_dim']['value'] == pytest.approx(
        value[name] / (64 * math.log(2)), rel=1e-5)


def test_reported_bounds_are_those_of_the_loaded_model(digits):
  """By other draws: within five standard errors of a mean over 200 codes."""
  workdir, _ = digits
  opened = open_run(str(workdir))
  vae, params = opened.task.build(opened.settings).parts, opened.params
  terms = results_of(workdir)['terms']
  assert opened.step == 4 == results_of(workdir)['step']
  batch = inputs(opened.settings, jax.random.key(1),
                 pipeline.full_batch(embedded.digits('test')))
  nats = np.asarray(jax.jit(lambda key: objectives.log_weights(
      key, vae, params, batch['x'], batch['cond']['label'], num_samples=200))(
          jax.random.key(2)), np.float64)
  # Of the same examples: what differs is the draws, of ten codes at least.
  error = math.sqrt(np.mean(nats.var(0)) / (10 * nats.shape[1]))
  np.testing.assert_allclose(-terms['negative_elbo']['nats']['value'],
                             nats.mean(), atol=5 * error)
  # More codes, a higher bound: that of 200 is below that of 1000, and both
  # below the largest weight.
  weighted = np.log(np.mean(np.exp(nats - nats.max(0)), 0)) + nats.max(0)
  assert weighted.mean() - error < (
      -terms['importance_weighted_1000']['nats']['value'])


def test_recognised_are_samples_with_their_noise(digits):
  opened = open_run(str(digits[0]))
  vae = opened.task.build(opened.settings).parts
  train = pipeline.full_batch(embedded.digits('train'))
  label = np.arange(1500) % 10
  drawn = jax.jit(lambda params: draw(
      keys.key(0, 'sample'), vae, params, 1500, label))(opened.params)
  with_noise, without = (classification.recognition_rate(
      pipeline.to_model_range(pipeline.to_uint8(x)), label, train['x'],
      train['cond']['label']) for x in (drawn.x, drawn.mean))
  # A pixel at the border of two levels may be rounded to the other.
  told = results_of(digits[0])['recognised_samples']
  assert told == pytest.approx(with_noise, abs=3 / 1500)
  assert told != pytest.approx(without, abs=10 / 1500)


def test_stopped_and_resumed_is_the_unbroken_run(
    run, digits, stop_at, tmp_path, monkeypatch):
  workdir = tmp_path / 'run'
  with stop_at(3):
    result = run(train_vae, f'--workdir={workdir}', *TINY)
  assert result.code == 0 and 'the same command' in result.out
  assert not (workdir / 'report.json').exists()
  # What is reported depends on what was trained, and takes longer.
  monkeypatch.setattr(report, 'report', lambda *args: [])
  assert run(train_vae, f'--workdir={workdir}', *TINY).code == 0
  ours, theirs = (open_run(str(w)) for w in (workdir, digits[0]))
  chex.assert_trees_all_equal(ours.params, theirs.params)
  assert (ours.settings, ours.step) == (theirs.settings, theirs.step)


def test_collapsed_posterior_is_reported(run, write_pictures, tmp_path):
  """Nothing is worth a KL that costs a hundred times its nats.

  Of a folder without held-out images, which is judged on its own.
  """
  write_pictures(tmp_path / 'data', 16, size=8)
  result = run(train_vae, f'--workdir={tmp_path}/run', '--image_size=8',
               f'--data=folder:{tmp_path}/data', '--width=4', '--latents=1',
               '--batch_size=8', '--beta=100', '--steps=150',
               '--learning_rate=0.02')
  assert result.code == 0 and result.err == ''
  assert re.search(r'active_units +0  the posterior has collapsed', result.out)
  results = results_of(tmp_path / 'run')
  assert results['active_units'] == 0 and results['latents'] == 1
  assert results['terms']['kl']['nats']['value'] < 0.05
  assert results['examples'] == 16 and 'densities' not in results
  settings = open_run(str(tmp_path / 'run')).settings
  assert settings.levels == 256 and settings.class_names == ()
  assert settings.network == 'conv' and settings.scale == 'output'


def test_dequantised_bits_are_never_in_a_column_without_their_name(
    run, tmp_path):
  result = run(train_vae, f'--workdir={tmp_path}/run', *TINY,
               '--likelihood=gaussian', '--prior=vamp', '--noconditional')
  assert result.code == 0 and result.err == ''
  assert 'bits/dim dequantised' in result.out
  results = results_of(tmp_path / 'run')
  assert 'recognised_test' not in results  # no class was asked for
  bits = results['densities']
  assert list(bits) == ['vae', 'gaussian', 'mixture']
  for term, found in results['terms'].items():
    assert 'bits_per_dim' not in found
    nats = found['nats']['value']
    # A level is 1/8 wide: its mass is its density times that.
    levels = 0 if term == 'kl' else 64 * math.log(8)
    assert found['dequantised_bits_per_dim']['value'] == pytest.approx(
        (nats + levels) / (64 * math.log(2)), rel=1e-4)
  name = 'dequantised_bits_per_dim'
  assert bits['vae'][name]['value'] == pytest.approx(
      results['terms']['importance_weighted_1000'][name]['value'])
  records = read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  assert 'test/dequantised_bits_per_dim' in records[-1]
  assert 'test/bits_per_dim' not in records[-1]


@pytest.mark.slow
def test_one_example_tells_nothing_of_collapse_nor_of_errors(
    run, write_pictures, tmp_path):
  folder = write_pictures(tmp_path / 'one', num=1, size=8)
  result = run(train_vae, f'--workdir={tmp_path}/run',
               f'--data=folder:{folder}', '--image_size=8', '--width=8',
               '--latents=2', '--batch_size=8', '--steps=1')
  assert (result.code, result.err) == (0, '')
  assert 'collapsed' not in result.out and 'of one example' in result.out
  results = results_of(tmp_path / 'run')
  assert results['active_units'] is None
  assert results['terms']['kl']['nats']['low'] is None


BAD = [
    ('--data=toy:moons', ['--data', 'images', 'toy:moons']),
    ('--data=binarized_digits:2', ['--data', 'binarized_digits', '2']),
    ('--data=binarized_digits --held_out=0.1', ['--held_out', '0.1']),
    ('--data=folder:{missing}', ['existing folder', '{missing}']),
    ('--likelihood=bernoulli', ['--likelihood', 'two levels', 'bernoulli']),
    ('--data=binarized_digits --scale=shared',
     ['--scale', 'bernoulli', 'shared']),
    ('--scale=wide', ['scale', 'wide', 'output']),
    ('--likelihood=poisson', ['likelihood', 'poisson', 'gaussian']),
    ('--latents=0', ['latents', '0']),
    ('--latents=two', ['latents', 'two']),
    ('--network=gan', ['network', 'gan', 'conv']),
    ('--network=conv --width=8,8,8,8,8', ['multiples of 16', '8 x 8']),
    ('--width=', ['--width']),
    ('--width=0', ['--width', '0']),
    ('--prior=uniform', ['prior', 'uniform', 'vamp']),
    ('--prior=vamp --posterior=flow', ['--prior', 'flow', 'vamp']),
    ('--objective=iwae --beta=2', ['--beta', 'iwae', '2']),
    ('--objective=iwae --free_bits=1', ['--free_bits', 'iwae', '1']),
    ('--importance_samples=5', ['--importance_samples', 'elbo', '5']),
    ('--objective=iwae --importance_samples=0', ['importance_samples', '0']),
    ('--beta=-1', ['beta', '-1']),
    ('--beta=nan', ['--beta', 'nan']),
    ('--free_bits=inf', ['--free_bits', 'inf']),
    ('--batch_size=12', ['--batch_size', '8 devices', '12']),
    ('--learning_rate=0', ['--learning_rate', 'above 0']),
    ('--workdir={digits} --latents=4', ['--workdir', '{digits}', 'latents=3']),
    ('--workdir={other}', ['--workdir', '{other}', 'of kind classifier']),
    ('digits', ['stray', "'digits'"]),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0] for row in BAD])
def test_training_says_what_is_wrong_in_one_line(
    run, digits, files_of, tmp_path, args, said):
  at = {'missing': tmp_path / 'missing', 'digits': digits[0],
        'other': tmp_path / 'other'}
  at['other'].mkdir()
  (at['other'] / 'settings.json').write_text(
      '{"kind": "classifier", "version": 1, "run": ""}')
  before = files_of(tmp_path), files_of(digits[0])
  result = run(train_vae, f'--workdir={tmp_path}/new', *(
      TINY if '{digits}' in args else ()), *args.format(**at).split())
  result.check_refusal('train_vae',
                       (part.format(**at) for part in said))
  assert (files_of(tmp_path), files_of(digits[0])) == before


@pytest.mark.slow
def test_digits_recipe_beats_gaussians_and_is_recognised(
    run, tmp_path, monkeypatch):
  for name, value in (('_FLOORS', (0.05, 0.09, 0.16)), ('_STEPS', 15)):
    monkeypatch.setattr(pixel_densities, name, value)
  result = run(train_vae, f'--workdir={tmp_path}/run')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  bits = {name: row['dequantised_bits_per_dim']['value']
          for name, row in results['densities'].items()}
  # Though it is told the class.
  assert bits['vae'] + math.log2(10) / 64 < min(bits['gaussian'],
                                                bits['mixture'])
  assert results['recognised_samples'] >= 0.9
  assert results['active_units'] > 0
  # More codes, a higher bound of a trained model too.
  assert run(vae_bounds, f'--workdir={tmp_path}/run', '--temperatures=100',
             '--num_images=50').code == 0
  bounds = json.loads((tmp_path / 'run' / 'bounds' / 'report.json').read_text())
  for column in ('test', 'drawn'):
    value = [bounds['bounds'][name][column]['value'] for name in (
        'ELBO', 'IWAE-5', 'IWAE-50', 'IWAE-1000')]
    assert value == sorted(value) and value[0] < value[-1] - 0.1
  gap = bounds['bounds']['reverse AIS-100 less AIS-100']['drawn']
  assert gap['value'] > -2 * (gap['high'] - gap['value'])  # 4 standard errors
