"""Runs of VAEs: opened without their data, and what they then can do."""

import dataclasses
import os
import shutil
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special
from scipy import stats

from genjax.data import embedded
from genjax.data import named
from genjax.data import pipeline
from genjax.data.levels import on_levels
from genjax.runs import keys
from genjax.runs import open_run
from genjax.runs import vae
from genjax.runs import vae_settings
from genjax.runs.fit import fit_run
from genjax.runs.fit import keep_run
from genjax.runs.settings import check_settings
from genjax.runs.settings import from_json
from genjax.runs.settings import to_json
from genjax.runs.task import Session
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import Settings
from genjax.training.state import init_state
from genjax.types import Context
from genjax.vae.distribution import as_distribution
from genjax.vae.distribution import draw
from genjax.vae.distribution import VAEParams

# One device: what several do is tested in tests/training.
ONE = vae.TASK._replace(loss=lambda settings, model: vae.loss(
    settings, model)._replace(devices=1))
TEST = pipeline.full_batch(embedded.digits('test'))
IMAGES, LABELS = TEST['x'][:6], TEST['cond']['label'][:6]


def settings_of(**chosen):
  """Of digits: whatever the recipe, the facts are theirs."""
  return vae_settings.with_facts(
      vae_settings.choose({'width': (8,), 'latents': 3, **chosen}),
      named.Data(embedded.digits('train'), None))


@pytest.fixture(name='settings', scope='module')
def _settings():
  """They name data that are not there."""
  return dataclasses.replace(settings_of(steps=2, batch_size=16, ema_decay=0.5),
                             data='folder:/deleted')


@pytest.fixture(name='workdir', scope='module')
def _workdir(settings, tmp_path_factory):
  """A class-conditional run of a mass at 17 levels, trained for two steps."""
  workdir = str(tmp_path_factory.mktemp('vae'))
  fit_run(ONE, settings, named.Data(embedded.digits('train'), None), workdir)
  return workdir


@pytest.fixture(name='run', scope='module')
def _run(workdir):
  return open_run(workdir)


def test_a_run_opens_without_its_data_or_optimizer(
    workdir, settings, run, tmp_path):
  bare = str(tmp_path / 'bare')
  shutil.copytree(workdir, bare)
  shutil.rmtree(os.path.join(bare, 'checkpoints', '2', 'training'))
  for path in (workdir, bare):
    found = open_run(path)
    assert (found.task.kind, found.step) == ('vae', 2)
    assert found.settings == settings
    chex.assert_trees_all_equal(found.params, run.params)
  raw = open_run(workdir, 'raw').params
  assert jax.tree.structure(raw) == jax.tree.structure(run.params)
  assert any(not np.array_equal(a, b) for a, b in zip(
      jax.tree.leaves(raw), jax.tree.leaves(run.params)))
  assert run.denoiser is None and run.predict is None


def test_samples_are_at_levels_and_the_same_whatever_their_number(run):
  key, label = jax.random.key(1), np.arange(12) % 10
  x = run.sample(key, (12,), {'label': label})
  assert x.shape == (12, 8, 8, 1)
  np.testing.assert_allclose(x, on_levels(x, 17), atol=1e-6)
  some = run.sample(key, (2, 3), {'label': label[:6].reshape(2, 3)})
  np.testing.assert_allclose(some.reshape(6, 8, 8, 1), x[:6], atol=1e-6)
  assert len(np.unique(x, axis=0)) == 12
  one = run.sample(key, (), {'label': 0})
  np.testing.assert_allclose(one, x[0], atol=1e-6)


def test_without_a_class_samples_are_of_all_classes_alike(run):
  """Means of pixels, to five standard errors and ten more for chance."""
  num = 4000
  mixed = np.asarray(run.sample(jax.random.key(2), (num,)))
  even = np.asarray(run.sample(jax.random.key(3), (num,), {
      'label': np.arange(num) % 10}))
  one = np.asarray(run.sample(jax.random.key(4), (num,), {'label': 3}))
  error = np.sqrt((mixed.var(0) + even.var(0)) / num)
  assert np.all(np.abs(mixed.mean(0) - even.mean(0)) < 5 * error)
  assert np.any(np.abs(one.mean(0) - even.mean(0)) > 5 * error)


def test_log_prob_is_the_bound_of_the_model_as_a_distribution(run, settings):
  model = vae.build(settings).parts
  bound = as_distribution(model, keys.key(0, 'log_prob'), num_samples=100)
  levels = on_levels(IMAGES, 17)
  of_class = np.asarray(jax.jit(jax.vmap(lambda label: bound.log_prob(
      VAEParams(run.params, jnp.full(6, label)), levels)))(
          jnp.arange(10)), np.float64)
  np.testing.assert_allclose(run.log_prob(IMAGES, {'label': LABELS}),
                             of_class[LABELS, np.arange(6)], rtol=1e-5)
  whole = run.log_prob(IMAGES)
  np.testing.assert_allclose(
      whole, special.logsumexp(of_class, 0) - np.log(10), rtol=1e-5)
  off = np.clip(IMAGES + 0.03, -1, 1)  # half a level is 0.0625
  np.testing.assert_allclose(run.log_prob(off), whole, rtol=1e-6)
  for word in ('lower bound', '100 samples a class', '17 levels'):
    assert word in run.density


def test_codes_are_posterior_means_and_decode_to_mean_images(run, settings):
  model, cond = vae.build(settings).parts, {'label': LABELS}
  z = run.encode(IMAGES, cond)
  q = jax.jit(model.encode)(run.params, on_levels(IMAGES, 17), LABELS)
  np.testing.assert_allclose(z, q.loc, atol=1e-6)
  law = jax.jit(model.decode)(run.params, z, LABELS)
  np.testing.assert_allclose(run.decode(z, cond), model.likelihood.mean(law),
                             atol=1e-6)
  shares = np.random.default_rng(0).dirichlet(np.ones(10), 6)
  np.testing.assert_allclose(
      run.decode(z, {'label': shares}), model.likelihood.mean(jax.jit(
          model.decode)(run.params, z, shares)), atol=1e-6)
  for name, x in (('encode', IMAGES), ('decode', z)):
    with pytest.raises(ValueError, match=f'{name}: cond must hold the label'):
      getattr(run, name)(x)


def test_a_density_is_of_pixels_as_they_are_given(tmp_path):
  """And a run that was not trained, or is told no class, is a run too."""
  settings = settings_of(likelihood='gaussian', conditional=False)
  model = vae.build(settings)
  params = jax.jit(lambda key: model.init(key, None))(jax.random.key(0))
  keep_run(vae.TASK, settings, params, str(tmp_path))
  run = open_run(str(tmp_path))
  bound = as_distribution(model.parts, keys.key(0, 'log_prob'), num_samples=100)
  x = IMAGES + 0.03
  np.testing.assert_allclose(run.log_prob(x), jax.jit(bound.log_prob)(
      VAEParams(params), x), rtol=1e-5)
  assert not np.allclose(run.log_prob(x), run.log_prob(IMAGES))
  assert 'dequantised' in run.density and 'class' not in run.density
  x = run.sample(jax.random.key(0), (3,))
  assert np.abs(x - on_levels(x, 17)).max() > 0.01


def test_hooks_score_the_averaged_weights_on_test_data(settings, run):
  """Their terms add up, and are those of a bound below the tighter one."""
  data = named.Data(embedded.digits('train'), embedded.digits('test'))
  session: Any = Session(settings, vae.build(settings), data, '', None)
  hook, = vae.TASK.hooks(session)
  assert hook.every == settings.save_every
  state = init_state(run.params, optax.identity(), ['ema'])
  found = hook.call(state, 2)
  assert found['test/loss'] == pytest.approx(
      found['test/reconstruction'] + found['test/kl'], rel=1e-6)
  assert found['test/bits_per_dim'] == pytest.approx(
      found['test/loss'] / (64 * np.log(2)), rel=1e-6)
  tighter = run.log_prob(TEST['x'], TEST['cond'])
  assert -found['test/loss'] < np.mean(tighter)
  moved = jax.tree.map(lambda a: a + 1, state.params)
  assert hook.call(state._replace(params=moved), 2) == found
  assert not vae.TASK.hooks(session._replace(data=data._replace(test=None)))


def test_draw_is_of_the_prior_and_of_what_is_decoded_from_it(run, settings):
  model, label = vae.build(settings).parts, jnp.arange(4000) % 10
  drawn = jax.jit(lambda key: draw(
      key, model, run.params, 4000, label))(jax.random.key(1))
  assert stats.kstest(np.ravel(drawn.z), 'norm').pvalue > 1e-3
  law = jax.jit(model.decode)(run.params, drawn.z, label)
  np.testing.assert_allclose(drawn.mean, model.likelihood.mean(law), atol=1e-5)
  # The sum over an image of independent noise, standardised: mean 0, variance
  # 1, to five standard errors of 4000 sums that are all but Gaussian.
  noise = np.sum((drawn.x - drawn.mean) / jnp.sqrt(
      model.likelihood.variance(law)), axis=(1, 2, 3)) / 8
  assert abs(noise.mean()) < 5 / 4000**0.5
  assert abs(noise.var() - 1) < 5 * (2 / 4000)**0.5
  # And another one in each example.
  assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 5 / 4000**0.5


@pytest.mark.parametrize('likelihood', ['gaussian', 'discretized_logistic'])
def test_scale_of_the_noise_is_the_one_asked_for(likelihood):
  """Told by what is learned beside the networks: [1], [H, W, C], nothing."""
  learned = {}
  for scale in ('shared', 'each', 'output'):
    model = vae.build(settings_of(likelihood=likelihood, scale=scale))
    params = jax.eval_shape(lambda m=model: m.init(jax.random.key(0), None))
    learned[scale] = [leaf.shape for leaf in jax.tree.leaves(
        params['likelihood'])]
  assert learned == {'shared': [()], 'each': [(8, 8, 1)], 'output': []}


@pytest.mark.parametrize('data, levels, likelihood', [
    ('digits', 17, 'discretized_logistic'),
    ('binarized_digits', 2, 'bernoulli')])
def test_data_are_put_on_the_levels_that_they_have(data, levels, likelihood):
  settings = settings_of(data=data)
  assert (settings.levels, settings.likelihood) == (levels, likelihood)
  train = named.open_data(data).train
  x = np.asarray(inputs(settings, jax.random.key(0),
                        pipeline.full_batch(train))['x'])
  want = np.round(train.arrays['image'] * ((levels - 1) / 255))
  np.testing.assert_allclose(x, 2 * want / (levels - 1) - 1, atol=1e-7)
  # Where each has a mass: no level is taken for something between two.
  model = vae.build(settings)
  law = model.parts.likelihood
  decoded = jax.eval_shape(lambda: model.parts.decode(
      model.init(jax.random.key(0), None), jnp.zeros((1, 3))))
  flat = jax.tree.map(lambda leaf: jnp.ones(leaf.shape[-3:]), decoded)
  assert np.all(np.isfinite(jax.jit(law.log_prob)(flat, x)))


def test_inputs_dequantise_by_index_within_one_level():
  settings = settings_of(likelihood='gaussian', conditional=False)
  key = jax.random.key(3)
  whole = inputs(settings, key, TEST)
  assert whole['cond'] == {}
  noise = (np.asarray(whole['x']) - on_levels(TEST['x'], 17)) / (2 / 16)
  # Some 19 thousand draws, whose law Kolmogorov's test knows.
  assert stats.kstest(noise.ravel(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
  half = jax.tree.map(lambda a: a[100:], TEST)
  np.testing.assert_array_equal(inputs(settings, key, half)['x'],
                                whole['x'][100:])


@pytest.mark.parametrize('values', [
    {}, {'likelihood': 'gaussian', 'posterior': 'flow'},
    {'data': 'binarized_digits', 'prior': 'vamp', 'objective': 'iwae'}])
def test_five_seeds_stay_finite_even_on_extreme_images(values):
  """Black, white and noise among the digits, at a rate ten times too high."""
  settings = settings_of(batch_size=16, steps=20, learning_rate=0.02, **values)
  model = vae.build(settings)
  objective = vae.loss(settings, model)
  batch = pipeline.batch_at(named.open_data(settings.data).train, 16, 0, seed=0)
  batch['x'][0], batch['x'][1] = -1, 1
  batch['x'][2] = np.random.default_rng(0).choice([-1, 1], (8, 8, 1))
  batch = jax.tree.map(jnp.asarray, batch)

  def of_seed(seed):
    key_init, key = jax.random.split(jax.random.key(seed))

    def step(carry, key):
      params, opt_state = carry
      (loss, _), grads = jax.value_and_grad(objective.loss_fn, has_aux=True)(
          params, key, batch, Context())
      updates, opt_state = objective.tx.update(grads, opt_state, params)
      params = jax.tree.map(jnp.add, params, updates)
      return (params, opt_state), loss

    params = model.init(key_init, batch)
    return jax.lax.scan(step, (params, objective.tx.init(params)),
                        jax.random.split(key, 20))

  # Twenty steps are not worth much compiling.
  (params, _), losses = jax.jit(jax.vmap(of_seed), compiler_options={
      'xla_backend_optimization_level': 0})(jnp.arange(5))
  chex.assert_tree_all_finite((params, losses))
  assert np.all(losses[:, -1] < losses[:, 0])


def test_the_recipe_goes_with_the_data_and_the_width_with_the_network():
  assert vae_settings.choose({}) == Settings()
  folder = vae_settings.choose({'data': 'folder:/x', 'latents': 5})
  assert (folder.network, folder.levels, folder.latents) == ('conv', 256, 5)
  assert folder.width == (32, 64, 64)
  assert vae_settings.choose({'network': 'conv'}).width == (32, 64)
  assert vae_settings.choose({'network': 'conv', 'width': (8,)}).width == (8,)
  assert vae_settings.choose({'network': 'mlp'}).width == (256, 256)
  for data, recipe in vae_settings.RECIPES.items():
    settings = Settings(**recipe)
    check_settings(settings)
    vae.build(settings)
    assert from_json(Settings, to_json(settings)) == settings, data


@pytest.mark.parametrize('chosen, message', [
    ({'prior': 'vamp', 'posterior': 'flow'}, 'prior: .* flow, got vamp'),
    ({'likelihood': 'bernoulli'}, 'likelihood: .*two levels, got bernoulli'),
    ({'objective': 'iwae', 'beta': 2.0}, 'beta: .* objective iwae, got 2.0'),
    ({'importance_samples': 5}, 'importance_samples: .*objective elbo, got 5'),
    ({'data': 'binarized_digits', 'scale': 'shared'}, 'scale: .*bernoulli'),
])
def test_settings_that_do_not_go_together_are_refused(chosen, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    vae.build(settings_of(**chosen))


def test_data_that_are_no_images_are_refused():
  points = named.open_data('toy:moons,points=10')
  with pytest.raises(ValueError, match='^data: must be images'):
    vae_settings.with_facts(Settings(data='toy:moons'), points)
