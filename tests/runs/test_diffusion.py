"""Diffusion runs: opened without their data, drawn from, encoded, decoded."""

import contextlib
import dataclasses
import json
import os
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import named
from genjax.diffusion import drawing
from genjax.diffusion import likelihood
from genjax.diffusion import named as named_parts
from genjax.diffusion.model import make_denoiser
from genjax.runs import diffusion
from genjax.runs import diffusion_functions
from genjax.runs import diffusion_settings
from genjax.runs import open_run
from genjax.runs import workdir as workdirs
from genjax.runs.diffusion_settings import Settings
from genjax.runs.fit import fit_run
from genjax.runs.settings import check_settings
from genjax.runs.settings import from_json
from genjax.runs.settings import to_json
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import init_state

# One device: what several do is tested in tests/training.
ONE = diffusion.TASK._replace(loss=lambda settings, model: diffusion.loss(
    settings, model)._replace(devices=1))
TOY = {'data': 'toy:moons,points=64', 'width': (8,), 'depth': 1,
       'sampling_steps': 4}


def settings_of(**chosen):
  settings = diffusion_settings.choose('toy', {**TOY, **chosen})
  return diffusion_settings.with_facts(settings, named.open_data(settings.data))


@pytest.fixture(name='written', scope='module')
def _written(tmp_path_factory):
  """A class-conditional run on points with random params: (workdir, state)."""
  workdir = str(tmp_path_factory.mktemp('diffusion'))
  settings = settings_of()
  model, rng = diffusion.build(settings), np.random.default_rng(0)
  shapes = jax.eval_shape(lambda key: init_state(
      model.init(key, None), diffusion.loss(settings, model).tx,
      model.averages), jax.random.key(0))

  def drawn(tree):
    return jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(x.dtype),
                        tree)

  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
  state = state._replace(params=drawn(shapes.params), step=np.int32(6),
                         averages=drawn(shapes.averages))
  run = workdirs.create_or_check(workdir, 'diffusion', settings)
  with contextlib.closing(Checkpointer(os.path.join(workdir, 'checkpoints'),
                                       run=run)) as checkpointer:
    checkpointer.save(6, state)
  return workdir, state


@pytest.fixture(name='workdir', scope='module')
def _workdir(written):
  return written[0]


@pytest.fixture(name='run', scope='module')
def _run(workdir):
  return open_run(workdir)


def test_a_run_opens_without_its_optimizer(written, tmp_path):
  workdir, state = written
  bare = str(tmp_path / 'bare')
  shutil.copytree(workdir, bare)
  shutil.rmtree(os.path.join(bare, 'checkpoints', '6', 'training'))
  for weights, want in (('ema', state.averages['ema']), ('raw', state.params)):
    run = open_run(bare, weights)
    assert (run.task.kind, run.step) == ('diffusion', 6)
    assert run.settings == settings_of()
    chex.assert_trees_all_equal(run.params, want)
  assert run.predict is None


def test_a_trained_run_opens_with_its_data_gone(tmp_path):
  """And its losses on test data are logged, by noise level too."""
  settings = settings_of(steps=2, batch_size=16, conditional=False)
  data, workdir = named.open_data(settings.data), str(tmp_path / 'run')
  settings = dataclasses.replace(settings, data='toy:gone')
  fit_run(ONE, settings, data, workdir)
  lines = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
  last = json.loads(lines[-1])
  bins = [value for name, value in last.items()
          if name.startswith('test/loss_by_log_snr/')]
  assert len(bins) > 3 and min(bins) <= last['test/loss'] <= max(bins)
  x = open_run(workdir).sample(jax.random.key(0), (3,))
  assert x.shape == (3, 2) and np.isfinite(x).all()


def test_a_learned_schedule_is_trained_kept_drawn_and_encoded(tmp_path):
  """By times that are the params' own, at levels that only its ends decide: so
  another path between them gives the same samples."""
  settings = settings_of(
      process='learned', steps=2, batch_size=64, sigma_min=.02,
      sampler='ddim', sampling_steps=32, learning_rate=.05)
  workdir = str(tmp_path / 'run')
  fit_run(ONE, settings, named.open_data(settings.data), workdir)
  runs = [open_run(workdir, weights) for weights in ('ema', 'raw')]
  model = diffusion.build(settings)
  first = jax.jit(lambda key: model.init(key, None)['schedule'])(
      jax.random.key(0))
  look = jax.jit(lambda params: (
      times := model.parts.draw.times(params),
      model.parts.diffusion.process_of(params).log_snr(times)))
  x, cond = np.float32([[.5, -1], [1, .2]]), {'label': np.arange(2)}
  for run in runs:
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(),
                         run.params['schedule'], first)
    assert max(jax.tree.leaves(moved)) > 1e-3
    times, log_snr = map(np.asarray, look(run.params))
    assert times[0] == 1 and times[-1] == 0 and np.all(np.diff(times) < 0)
    np.testing.assert_allclose(log_snr[[0, -1]],
                               -2 * np.log([20, .02]), rtol=1e-5)
  z = runs[0].encode(x, cond)
  np.testing.assert_allclose(runs[0].decode(z, cond), x, atol=.1)
  other = {**runs[0].params, 'schedule': jax.tree.map(
      lambda x: np.asarray(x) + (x.ndim > 0), first)}
  times = [np.asarray(look(params)[0]) for params in (runs[0].params, other)]
  assert np.abs(times[0] - times[1]).max() > .01
  draw = jax.jit(lambda params: model.functions(params).sample(
      jax.random.key(0), (3,)))
  drawn, moved = map(draw, (runs[0].params, other))
  assert np.isfinite(drawn).all()
  np.testing.assert_allclose(drawn, moved, atol=1e-4)


def test_pixels_are_dequantised_by_the_index_and_the_levels_of_the_data():
  """Told by a network that cannot but see them: the loss of a model that says
  nothing, weighted by 1, is the mean square of what it is given."""
  settings = diffusion_settings.with_facts(diffusion_settings.choose('digits', {
      'dequantise': True, 'prediction': 'x0', 'weighting': 'x0', 'width': (8,),
      'conditional': False, 'guidance': 1.0, 'process': 'flow_matching'}),
                                           named.open_data('digits'))
  assert settings.levels == 17
  model = diffusion.build(settings)
  params = jax.jit(lambda key: model.init(key, None))(
      jax.random.key(0))  # whose output is 0
  x = np.random.default_rng(0).choice(np.linspace(-1, 1, 17), (64, 8, 8, 1))
  loss_fn = jax.jit(diffusion.loss(settings, model).loss_fn)
  nearly = np.round(127.5 * (x + 1)) / 127.5 - 1  # as pixels are stored
  value, _ = loss_fn(params, jax.random.key(1), {
      'x': nearly.astype(np.float32), 'index': np.arange(64)}, None)
  noise = .125**2 / 12
  # The cross term's scatter, and that of the squared noise, of 4096 pixels.
  scatter = 4 * np.sqrt(4 * np.mean(x**2) * noise + noise**2) / 64
  np.testing.assert_allclose(value, np.mean(x**2) + noise, atol=scatter)
  assert abs(value - np.mean(nearly**2)) > 1e-5
  binary = named.open_data('binarized_digits')
  chosen = dataclasses.replace(settings, levels=None)
  assert diffusion_settings.with_facts(chosen, binary).levels == 2
  assert diffusion_settings.with_facts(settings, binary).levels == 17


def test_samples_do_not_depend_on_how_many_are_drawn(run, monkeypatch):
  key, label = jax.random.key(1), np.arange(12) % 2
  x = run.sample(key, (12,), {'label': label})
  assert x.shape == (12, 2) and len(np.unique(x, axis=0)) == 12
  some = run.sample(key, (2, 3), {'label': label[:6].reshape(2, 3)})
  np.testing.assert_allclose(some.reshape(6, 2), x[:6], atol=1e-5)
  one = run.sample(key, (), {'label': 0})
  np.testing.assert_allclose(one, x[0], atol=1e-5)
  monkeypatch.setattr(drawing, '_BLOCK', 6)
  blocks = run.sample(key, (11,), {'label': label[:11]})
  np.testing.assert_allclose(blocks, x[:11], atol=1e-5)
  other = run.sample(key, (6,), {'label': 1 - label[:6]})
  assert (np.abs(other - x[:6]).max(1) > 1e-3).all()


@pytest.mark.parametrize('shape', [(), (0,), (2, 0)])
def test_samples_have_the_shape_asked_for(run, shape):
  for cond in (None, {'label': np.zeros(shape, np.int32)}):
    assert run.sample(jax.random.key(0), shape, cond).shape == (*shape, 2)


def test_guidance_is_by_its_scale_and_within_its_interval(workdir, run):
  """Without it labels count, at scale 0 everywhere they do not."""
  key, label = jax.random.key(5), np.arange(12) % 2

  def drawn(label, **settings):
    return open_run(workdir, settings=settings).sample(
        key, (12,), {'label': label})

  plain = run.sample(key, (12,), {'label': label})
  # Log-SNRs from -6 to 12.4: to the left of all, and to all of them.
  nowhere, everywhere = (-40.0, -39.0), (-40.0, 40.0)
  np.testing.assert_allclose(
      drawn(label, guidance=3.0, guidance_log_snr=nowhere), plain, atol=1e-5)
  without = drawn(label, guidance=0.0, guidance_log_snr=everywhere)
  np.testing.assert_allclose(without, drawn(
      1 - label, guidance=0.0, guidance_log_snr=everywhere), atol=1e-5)
  within = drawn(label, guidance=0.0)
  for other in (plain, without):
    assert np.abs(within - other).max() > 1e-3


def test_codes_decode_to_what_was_encoded(workdir):
  """To an error that falls with the square of the step, here by four."""
  x, cond = np.float32([[0.5, -1], [1, 0.2], [-0.3, 0]]), {'label': np.arange(3)
                                                           % 2}
  errors, codes = [], []
  for steps in (64, 128):
    run = open_run(workdir, settings={'sampling_steps': steps})
    codes.append(run.encode(x, cond))
    errors.append(np.abs(run.decode(codes[-1], cond) - x).max())
  assert errors[1] < errors[0] / 2.5 and errors[1] < 0.02
  assert np.abs(codes[1] - run.encode(x)).max() > 1e-3  # the class counts
  denoised = run.denoiser(cond)(x, 1.0)
  assert denoised.shape == (3, 2)
  assert np.abs(denoised - run.denoiser()(x, 1.0)).max() > 1e-3


def test_decode_goes_from_class_to_class(run):
  z = np.float32([[0.5, -1], [1, 0.2], [-0.3, 0]])
  one, two = (run.decode(z, {'label': np.full(3, k)}) for k in (0, 1))
  mixed = run.decode(z, {'label': np.float32([[1, 0], [0, 1], [.25, .75]])})
  np.testing.assert_allclose(mixed[:2], [one[0], two[1]], atol=1e-5)
  first, second = (run.denoiser({'label': np.full(3, k)}) for k in (0, 1))
  want = diffusion_functions.make_flow(run.settings, run.task.build(
      run.settings).parts.process).decode(
          lambda x, t: 0.25 * first(x, t) + 0.75 * second(x, t), z)
  np.testing.assert_allclose(mixed[2], want[2], atol=1e-5)
  assert min(np.abs(mixed[2] - end[2]).max() for end in (one, two)) > 1e-3


def test_log_prob_is_that_of_the_flow_under_its_condition(run):
  """A density of points, of the key that is the run's for it; of none where
  there is no condition."""
  x = np.random.default_rng(4).normal(size=(3, 2)).astype(np.float32)
  label = np.array([0, 1, 1], np.int32)
  nats = run.log_prob(x, {'label': label})
  parts, settings = run.task.build(run.settings).parts, run.settings
  for cond, found in (({'label': label}, nats), (None, run.log_prob(x))):
    want = jax.jit(lambda x, cond: likelihood.log_likelihood(
        None, parts.process, run.denoiser(cond), x, likelihood.grid(
            parts.process, 64, data_std=settings.data_std,
            sigma_min=settings.sigma_min), data_std=settings.data_std))(x, cond)
    np.testing.assert_allclose(found, want.value, rtol=1e-2)
  assert np.abs(nats - run.log_prob(x)).min() > 1e-3
  assert run.density == (
      'nats, an estimate: by the flow from noise of 0.002 of the signal, its '
      'divergence exact, a density of x as it is given')


@pytest.mark.parametrize('given, message', [
    ({'width': (16,)}, 'width: must be absent: a run of diffusion has no'),
    ({'temperature': 1.0}, 'temperature: must be absent'),
    ({'sampling_steps': 1}, r'sampling_steps: must be a whole number in \[2'),
    ({'sampler': 'best'}, 'sampler: must be one of ddpm, ddim'),
    ({'guidance_log_snr': (1.0, 1.0)}, 'guidance_log_snr: must be two')])
def test_a_run_is_opened_with_what_is_free_alone(workdir, given, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    open_run(workdir, settings=given)


def test_a_network_is_given_waves_of_the_data_beside_it(monkeypatch):
  """sin and cos of 2^n pi x where there is no noise: arXiv:2107.00630, app. C;
  what it makes of the waves is not looked at."""
  seen = []

  class Spy:

    def init(self, key, x, noise):
      return {'params': {}}

    def apply(self, variables, x, noise, cond):
      seen.append(x)
      return jnp.concatenate([0 * x[..., :1], 1 + x[..., 1:]], -1)

  monkeypatch.setitem(named_parts.NETWORKS, 'unet', lambda p, **common: Spy())
  settings = diffusion_settings.choose('digits', {
      'fourier': (1, 3), 'prediction': 'x0', 'conditional': False,
      'guidance': 1.0, 'sigma_min': 1e-3})
  settings = dataclasses.replace(settings, data_std=.6)
  x = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1))
  denoise = make_denoiser(diffusion.build(settings).parts.diffusion)(
      {'network': {}})
  np.testing.assert_array_equal(denoise(jnp.asarray(x), jnp.asarray(1e-3)), 0)
  angle = np.pi * x * 2.0**np.array([1, 1, 3, 3])
  want = np.where(np.arange(4) % 2, np.cos(angle), np.sin(angle))
  np.testing.assert_allclose(seen[0][..., 1:], want, atol=1e-3)


def test_times_are_even_in_log_snr_between_the_noise_levels():
  settings = settings_of(times='log_snr', sigma_min=.1, sigma_max=10.0)
  p, u = diffusion.build(settings).parts.process, np.float32([0, .25, 1])
  np.testing.assert_allclose(np.exp(-.5 * np.asarray(p.log_snr(p.times(u)))),
                             [.1, 10**-.5, 10], rtol=1e-5)


def test_points_have_no_levels_and_pixels_must():
  with pytest.raises(ValueError, match='^dequantise: must be false for points'):
    diffusion.build(settings_of(dequantise=True))
  with pytest.raises(ValueError, match='^levels: must be given'):
    diffusion.build(diffusion_settings.choose('likelihood', {}))


def test_what_a_model_is_not_told_is_refused():
  settings = settings_of(conditional=False)
  functions = diffusion.build(settings).functions({})
  with pytest.raises(ValueError, match='sample: cond must be None'):
    functions.sample(jax.random.key(0), (2,), {'label': np.zeros(2, int)})
  with pytest.raises(ValueError, match='^guidance: must be 1 for an uncond'):
    diffusion.build(dataclasses.replace(settings, guidance=2.0))


@pytest.mark.parametrize('name', diffusion_settings.RECIPES)
def test_recipes_are_whole(name):
  settings = diffusion_settings.choose(name, {})
  check_settings(settings)
  assert from_json(Settings, to_json(settings)) == settings
  if name != 'toy':
    settings = diffusion_settings.choose(name, {'guidance': 1.0, 'levels': 17})
    diffusion.build(settings)
    if settings.network != 'dit':
      assert diffusion_settings.choose(name, {'network': 'dit'}).width == (64,)
    assert diffusion_settings.choose(
        name, {'network': 'dit', 'width': (8,)}).width == (8,)


@pytest.mark.parametrize('chosen, message', [
    ({'network': 'mlp'}, 'network: must be mlp for points'),
    ({'width': (12,)}, r'width: must be multiples of 8 for a unet, got \(12,'),
    ({'width': ()}, 'width: must be one number'),
    ({'network': 'dit', 'width': (8, 8)}, 'width: must be one number'),
    ({'attention_levels': (2,)}, 'attention_levels: must be below 2'),
    ({'process': 'vp_cosine', 'prediction': 'eps'}, 'prediction: eps'),
    ({'process': 'vp_cosine', 'log_snr_shift': 1.0, 'prediction': 'eps'},
     'prediction: eps'),
    ({'log_snr_shift': 1.0}, 'log_snr_shift: must be 0 but for vp_cosine'),
    ({'process': 'learned', 'weighting': 'v'}, 'weighting: must be elbo or'),
    ({'process': 'learned', 'uncertainty': True}, 'uncertainty: must be false'),
    ({'process': 'learned', 'times': 'importance'}, 'times: must be process'),
    ({'process': 'learned', 'sigma_min': 1e-6}, 'sigma_min: and sigma_max'),
    ({'times': 'log_snr', 'process': 'ddpm', 'sigma_max': 1e4},
     'uniform_log_snr: low and high'),
    ({'process': 'learned', 'sigma_min': 30.0}, 'sigma_min: must be below'),
    ({'sigma_min': 30.0}, 'sigma_min: must be below sigma_max')])
def test_settings_that_do_not_go_together_are_refused(chosen, message):
  with pytest.raises(ValueError, match=f'^{message}'):
    diffusion.build(diffusion_settings.choose(
        'digits', {'guidance': 1.0, **chosen}))
