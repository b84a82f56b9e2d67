"""VAEs by their script: what it leaves, and what is in it."""

import json
import math
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
from scipy import stats

from experiments import common
from experiments import pixel_densities
from experiments import train_vae
from experiments import vae_bounds
from experiments import vae_report
from experiments import vae_run
from genjax.data import embedded
from genjax.data import pipeline
from genjax.metrics import classification
from genjax.training.logs import read_metrics
from genjax.types import Context
from genjax.vae import objectives

TINY = ('--width=8', '--latents=3', '--batch_size=16', '--steps=4',
        '--save_every=2', '--log_every=1')


def results_of(workdir):
  return json.loads((workdir / 'results.json').read_text())


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
  for name in figures:
    with Image.open(workdir / 'figures' / f'{name}.png') as figure:
      assert figure.width > 500
  records = read_metrics(workdir / 'metrics.jsonl')
  assert [r['step'] for r in records] == [1, 2, 3, 4]
  for name in ('reconstruction', 'kl', 'active_units', 'bits_per_dim'):
    assert [f'held_out/{name}' in r for r in records] == [False, True] * 2
  results = results_of(workdir)
  # Of the averaged weights, as loaded and as they were.
  for term in ('reconstruction', 'kl'):
    assert results['terms'][term]['nats']['value'] == pytest.approx(
        records[-1][f'held_out/{term}'], rel=1e-5)
  assert results['importance_weighted_1000_examples'] == 297
  for said in (*results['terms'], 'active units', 'recognised', 'mixture',
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
  vae, params, settings, step = vae_run.load_run(str(workdir))
  terms = results_of(workdir)['terms']
  assert step == 4 == results_of(workdir)['step']
  batch = vae_run.inputs(settings, jax.random.key(1),
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
  vae, params, settings, _ = vae_run.load_run(str(digits[0]))
  train = pipeline.full_batch(embedded.digits('train'))
  label = np.arange(1500) % 10
  drawn = jax.jit(lambda params: vae_run.draw(
      common.root_key(0, 'sample'), vae, params, 1500, label))(params)
  with_noise, without = (classification.recognition_rate(
      pipeline.to_model_range(pipeline.to_uint8(x)), label, train['x'],
      train['cond']['label']) for x in (drawn.x, drawn.mean))
  # A pixel at the border of two levels may be rounded to the other.
  told = results_of(digits[0])['recognised']['samples']
  assert told == pytest.approx(with_noise, abs=3 / 1500)
  assert told != pytest.approx(without, abs=10 / 1500)


def test_draw_is_of_the_prior_and_of_what_is_decoded_from_it():
  settings, _ = train_vae.resolve({'width': [8], 'latents': 3})
  vae = vae_run.build_model(settings)
  label = jnp.arange(4000) % 10
  params = vae.init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), label[:2])
  drawn = jax.jit(lambda key: vae_run.draw(
      key, vae, params, 4000, label))(jax.random.key(1))
  assert stats.kstest(np.ravel(drawn.z), 'norm').pvalue > 1e-3
  law = vae.decode(params, drawn.z, label)
  np.testing.assert_allclose(drawn.mean, vae.likelihood.mean(law), atol=1e-5)
  # The sum over an image of independent noise, standardised: mean 0, variance
  # 1, to five standard errors of 4000 sums that are all but Gaussian.
  noise = np.sum((drawn.x - drawn.mean) / jnp.sqrt(
      vae.likelihood.variance(law)), axis=(1, 2, 3)) / 8
  assert abs(noise.mean()) < 5 / 4000**0.5
  assert abs(noise.var() - 1) < 5 * (2 / 4000)**0.5


def test_stopped_and_resumed_is_the_unbroken_run(
    run, digits, stop_at, tmp_path, monkeypatch):
  workdir = tmp_path / 'run'
  with stop_at(3):
    result = run(train_vae, f'--workdir={workdir}', *TINY)
  assert result.code == 130 and 'the same command' in result.out
  assert not (workdir / 'results.json').exists()
  # What is reported depends on what was trained, and takes longer.
  monkeypatch.setattr(vae_report, 'report', lambda *args: 'finished')
  assert run(train_vae, f'--workdir={workdir}', *TINY).code == 0
  ours, theirs = (vae_run.load_run(str(w)) for w in (workdir, digits[0]))
  chex.assert_trees_all_equal(ours[1], theirs[1])
  assert ours[2:] == theirs[2:]


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
  assert 'active units            0 of 1: the posterior has collapsed' in (
      result.out)
  results = results_of(tmp_path / 'run')
  assert results['active_units'] == 0 and results['latents'] == 1
  assert results['terms']['kl']['nats']['value'] < 0.05
  assert results['examples'] == '16 training'
  assert 'dequantised_bits_per_dim' not in results
  settings = common.read_settings(str(tmp_path / 'run'))
  assert settings['levels'] == 256 and settings['num_classes'] is None
  assert settings['network'] == 'conv' and settings['scale'] == 'output'


def test_dequantised_bits_are_never_in_a_column_without_their_name(
    run, tmp_path):
  result = run(train_vae, f'--workdir={tmp_path}/run', *TINY,
               '--likelihood=gaussian', '--prior=vamp', '--noconditional')
  assert result.code == 0 and result.err == ''
  assert 'bits/dim dequantised' in result.out
  results = results_of(tmp_path / 'run')
  assert 'recognised' not in results  # no class was asked for
  bits = results['dequantised_bits_per_dim']
  assert list(bits) == ['vae', 'gaussian', 'mixture']
  for term, found in results['terms'].items():
    assert 'bits_per_dim' not in found
    nats = found['nats']['value']
    # A level is 1/8 wide: its mass is its density times that.
    levels = 0 if term == 'kl' else 64 * math.log(8)
    assert found['dequantised_bits_per_dim']['value'] == pytest.approx(
        (nats + levels) / (64 * math.log(2)), rel=1e-4)
  assert bits['vae']['value'] == pytest.approx(
      results['terms']['importance_weighted_1000'][
          'dequantised_bits_per_dim']['value'])
  records = read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  assert 'held_out/dequantised_bits_per_dim' in records[-1]
  assert 'held_out/bits_per_dim' not in records[-1]


@pytest.mark.parametrize('likelihood', ['gaussian', 'discretized_logistic'])
def test_scale_of_the_noise_is_the_one_asked_for(likelihood):
  """Told by what is learned beside the networks: [1], [H, W, C], nothing."""
  learned = {}
  for scale in ('shared', 'each', 'output'):
    settings, _ = train_vae.resolve({
        'likelihood': likelihood, 'scale': scale, 'width': [8]})
    params = jax.eval_shape(vae_run.build_model(settings).init,
                            jax.random.key(0), jnp.zeros((3, 8, 8, 1)))
    learned[scale] = [leaf.shape for leaf in jax.tree.leaves(
        params['likelihood'])]
  assert learned == {'shared': [()], 'each': [(8, 8, 1)], 'output': []}


@pytest.mark.parametrize('data, levels, likelihood', [
    ('digits', 17, 'discretized_logistic'),
    ('binarized_digits', 2, 'bernoulli')])
def test_data_are_put_on_the_levels_that_they_have(data, levels, likelihood):
  settings, found = train_vae.resolve({'data': data})
  assert (settings['levels'], settings['likelihood']) == (levels, likelihood)
  batch = pipeline.full_batch(found.train)
  x = np.asarray(vae_run.inputs(settings, jax.random.key(0), batch)['x'])
  want = np.round(found.train.arrays['image'] * ((levels - 1) / 255))
  np.testing.assert_allclose(x, 2 * want / (levels - 1) - 1, atol=1e-7)
  vae = vae_run.build_model(settings)
  # Where each has a mass: no level is taken for something between two.
  law = vae_run.LIKELIHOODS[likelihood](settings)
  one = law.params(law.init(()), jnp.zeros((*x.shape, law.num_outputs)))
  assert np.all(np.isfinite(law.dist.log_prob(one, x)))
  assert vae.num_latents == settings['latents']


def test_on_levels_leaves_256_levels_as_they_are():
  x = pipeline.to_model_range(np.arange(256))
  found = np.asarray(vae_run.on_levels(x, 256))
  np.testing.assert_allclose(found, x, atol=2e-7)
  np.testing.assert_array_equal(pipeline.to_uint8(found), np.arange(256))


def test_inputs_dequantise_by_index_within_one_level():
  settings, _ = train_vae.resolve({'likelihood': 'gaussian',
                                   'conditional': False})
  batch = pipeline.full_batch(embedded.digits('test'))
  key = jax.random.key(3)
  whole = vae_run.inputs(settings, key, batch)
  assert whole['cond'] == {}
  noise = (np.asarray(whole['x'])
           - np.asarray(vae_run.on_levels(batch['x'], 17))) / (2 / 16)
  # Some 19 thousand draws, whose law Kolmogorov's test knows.
  assert stats.kstest(noise.ravel(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
  half = jax.tree.map(lambda a: a[100:], batch)
  np.testing.assert_array_equal(
      vae_run.inputs(settings, key, half)['x'], whole['x'][100:])


@pytest.mark.parametrize('values', [
    {}, {'likelihood': 'gaussian', 'posterior': 'flow'},
    {'data': 'binarized_digits', 'prior': 'vamp', 'objective': 'iwae'}])
def test_five_seeds_stay_finite_even_on_extreme_images(values):
  """Black, white and noise among the digits, at a rate ten times too high."""
  settings, data = train_vae.resolve({
      'width': ['8'], 'latents': 3, 'batch_size': 16, 'steps': 20,
      'learning_rate': 0.02, **values})
  loss_fn, tx = vae_run.make_loss(settings), vae_run.optimizer(settings)
  vae = vae_run.build_model(settings)
  batch = pipeline.batch_at(data.train, 16, 0, seed=0)
  batch['x'][0], batch['x'][1] = -1, 1
  batch['x'][2] = np.random.default_rng(0).choice([-1, 1], (8, 8, 1))
  batch = jax.tree.map(jnp.asarray, batch)

  def of_seed(seed):
    key_init, key = jax.random.split(jax.random.key(seed))

    def step(carry, key):
      params, opt_state = carry
      (loss, _), grads = jax.value_and_grad(loss_fn, has_aux=True)(
          params, key, batch, Context())
      updates, opt_state = tx.update(grads, opt_state, params)
      params = jax.tree.map(jnp.add, params, updates)
      return (params, opt_state), loss

    params = vae.init(key_init, batch['x'], batch['cond']['label'])
    return jax.lax.scan(step, (params, tx.init(params)),
                        jax.random.split(key, 20))

  # Twenty steps are not worth much compiling.
  (params, _), losses = jax.jit(jax.vmap(of_seed), compiler_options={
      'xla_backend_optimization_level': 0})(jnp.arange(5))
  chex.assert_tree_all_finite((params, losses))
  assert np.all(losses[:, -1] < losses[:, 0])


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
  assert results['terms']['kl']['nats']['standard_error'] is None


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
    ('--beta=nan', ['beta', 'finite']),
    ('--free_bits=inf', ['free_bits', 'finite']),
    ('--batch_size=12', ['--batch_size', '8 devices', '12']),
    ('--learning_rate=0', ['learning_rate', 'positive']),
    ('--workdir={digits} --latents=4', ['--workdir', '{digits}', 'latents=3']),
    ('digits', ['stray', "'digits'"]),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0] for row in BAD])
def test_training_says_what_is_wrong_in_one_line(
    run, digits, files_of, tmp_path, args, said):
  at = {'missing': tmp_path / 'missing', 'digits': digits[0]}
  before = files_of(tmp_path), files_of(digits[0])
  result = run(train_vae, f'--workdir={tmp_path}/new', *(
      TINY if '{digits}' in args else ()), *args.format(**at).split())
  result.check_refusal('train_vae',
                       (part.format(**at) for part in said))
  assert (files_of(tmp_path), files_of(digits[0])) == before


def test_load_run_refuses_other_runs(digits_run, digits, tmp_path):
  with pytest.raises(ValueError, match='run of train_vae'):
    vae_run.load_run(str(digits_run))
  bare = shutil.copytree(digits[0], tmp_path / 'bare',
                         ignore=shutil.ignore_patterns('checkpoints'))
  with pytest.raises(ValueError, match='must hold a checkpoint'):
    vae_run.load_run(str(bare))


@pytest.mark.slow
def test_digits_recipe_beats_gaussians_and_is_recognised(
    run, tmp_path, monkeypatch):
  for name, value in (('_FLOORS', (0.05, 0.09, 0.16)), ('_STEPS', 15)):
    monkeypatch.setattr(pixel_densities, name, value)
  result = run(train_vae, f'--workdir={tmp_path}/run')
  assert result.code == 0 and result.err == ''
  results = results_of(tmp_path / 'run')
  bits = results['dequantised_bits_per_dim']
  # Though it is told the class.
  least = min(bits[name]['value']
             for name in ('gaussian', 'mixture'))
  assert bits['vae']['value'] + math.log2(10) / 64 < least
  assert results['recognised']['samples'] >= 0.9
  assert results['active_units'] > 0
  # More codes, a higher bound of a trained model too.
  assert run(vae_bounds, f'--workdir={tmp_path}/run', '--temperatures=100',
             '--num_images=50').code == 0
  bounds = json.loads((tmp_path / 'run' / 'bounds.json').read_text())
  for column in ('held_out', 'drawn'):
    value = [bounds[column][name]['value'] for name in (
        'ELBO', 'IWAE-5', 'IWAE-50', 'IWAE-1000')]
    assert value == sorted(value) and value[0] < value[-1] - 0.1
  gap = bounds['drawn']['reverse AIS-100 less AIS-100']
  assert gap['value'] > -4 * gap['standard_error']
