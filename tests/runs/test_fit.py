import contextlib
import math
import os
import re
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.data import pipeline
from genjax.data.sources import ArraySource
from genjax.runs import keys
from genjax.runs import open_run
from genjax.runs import workdir as workdirs
from genjax.runs.fit import fit_run
from genjax.runs.fit import keep_run
from genjax.runs.fit import make_trainer
from genjax.runs.lock import lock
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import read_metrics
from genjax.training.loop import Hook
from tests.runs.gaussian import Data
from tests.runs.gaussian import draw
from tests.runs.gaussian import KINDS
from tests.runs.gaussian import Settings
from tests.runs.gaussian import TASK

# One device: what several do is tested in tests/training.
ONE = TASK._replace(loss=lambda settings, model: TASK.loss(
    settings, model)._replace(devices=1))


@pytest.fixture(name='unbroken', scope='module')
def train_unbroken(tmp_path_factory):
  """The workdir of a run of 20 steps that nothing stopped."""
  workdir = str(tmp_path_factory.mktemp('unbroken'))
  fit_run(ONE, Settings(), draw(), workdir)
  return workdir


def weights_of(workdir):
  return [open_run(workdir, weights, kinds=KINDS).params
          for weights in ('raw', 'ema')]


def test_a_run_leaves_what_it_promises(unbroken):
  written = workdirs.read(unbroken)
  assert written.kind == 'gaussian' and written.data_id
  records = read_metrics(os.path.join(unbroken, 'metrics.jsonl'))
  assert [r['step'] for r in records] == [5, 10, 15, 20]
  assert ['test/loss' in r for r in records] == [False, True, False, True]
  for r in records:
    assert r['examples_per_second'] == pytest.approx(64 * r['steps_per_second'])
    assert r['flop_per_second'] == pytest.approx(
        r['flop_per_step'] * r['steps_per_second'])
    assert r['flop_per_step'] > 64 * 2 and 'utilisation' not in r
  assert {'tensorboard', 'figures'} < set(os.listdir(unbroken))
  assert 'lock' not in os.listdir(unbroken)


def test_gradient_descent_is_that_of_the_likelihood(unbroken):
  """Its steps against those by hand, of the gradient in closed form.

  Of -log N(x; m, s^2) that by m is (m - x) / s^2, by log s it is
  1 - (x - m)^2 / s^2.
  """
  x = draw().train.arrays['x'].astype(np.float64)
  settings = Settings()
  mean = np.asarray(jax.random.normal(keys.key(0, 'init'), (2,)), np.float64)
  log_scale = np.zeros(2)
  for step in range(settings.steps):
    x = pipeline.batch_at(draw().train, settings.batch_size, step,
                          seed=0)['x'].astype(np.float64)
    z = (x - mean) * np.exp(-log_scale)
    mean = mean + 0.1 * (z * np.exp(-log_scale)).mean(0)
    log_scale = log_scale - 0.1 * (1 - z**2).mean(0)
  params, _ = weights_of(unbroken)
  # 20 steps in float32, each of a few roundings of numbers of order 1.
  np.testing.assert_allclose(params['mean'], mean, rtol=0, atol=1e-5)
  np.testing.assert_allclose(params['log_scale'], log_scale, rtol=0, atol=1e-5)


def test_a_run_in_parts_is_the_unbroken_one_bit_for_bit(unbroken, tmp_path):
  workdir = str(tmp_path)
  for steps in (7, 13, 20):
    fit_run(ONE, Settings(steps=steps), draw(), workdir)
  chex.assert_trees_all_equal(weights_of(workdir), weights_of(unbroken))
  assert workdirs.read(workdir).run == workdirs.read(unbroken).run


def test_other_settings_or_data_are_refused_before_anything_is_done(unbroken):
  before = sorted(os.listdir(unbroken))
  for settings, data, said in (
      (Settings(seed=1), draw(), 'holds a run with seed=0'),
      (Settings(), draw(1), 'holds a run on other data')):
    with pytest.raises(ValueError, match=said):
      fit_run(ONE, settings, data, unbroken)
  assert sorted(os.listdir(unbroken)) == before


def test_a_workdir_in_use_is_refused(unbroken, tmp_path):
  workdir = str(tmp_path / 'run')
  shutil.copytree(unbroken, workdir)
  with lock(workdir):
    with pytest.raises(ValueError, match='one in use by process'):
      fit_run(ONE, Settings(), draw(), workdir)


def test_checkpoints_of_another_run_or_step_are_refused(unbroken, tmp_path):
  other = str(tmp_path / 'other')
  fit_run(ONE, Settings(seed=1), draw(), other)
  mixed = tmp_path / 'mixed'
  shutil.copytree(unbroken, mixed)
  shutil.rmtree(mixed / 'checkpoints')
  shutil.copytree(os.path.join(other, 'checkpoints'), mixed / 'checkpoints')
  moved = tmp_path / 'moved'
  shutil.copytree(unbroken, moved)
  os.rename(moved / 'checkpoints' / '20', moved / 'checkpoints' / '99')
  lost = tmp_path / 'lost'
  shutil.copytree(unbroken, lost)
  os.remove(lost / 'settings.json')
  for workdir, seed in ((mixed, 0), (moved, 0), (lost, 1)):
    with pytest.raises(ValueError, match='restore: checkpoint'):
      fit_run(ONE, Settings(seed=seed, steps=30), draw(), str(workdir))


def diverging(after):
  """A kind whose learning rate is 1e6 after some updates."""
  def loss(settings, model):
    return ONE.loss(settings, model)._replace(tx=optax.sgd(
        lambda count: jnp.where(count < after, 0.1, 1e6)))

  return ONE._replace(loss=loss)


def test_divergence_is_an_error_that_says_which_checkpoint_is_good(tmp_path):
  settings = Settings(steps=60, save_every=2, log_every=1)
  with pytest.raises(RuntimeError, match='no finite update') as error:
    fit_run(diverging(6), settings, draw(), str(tmp_path))
  # Until then every step was one down the slope.
  assert 'best checkpoint kept is that of step 6: test' in str(error.value)
  assert len(str(error.value).splitlines()) == 1
  assert 'lock' not in os.listdir(tmp_path)


@pytest.mark.parametrize('metric, said', [
    (lambda step: step / 2, 'step 10: test/loss 5'),
    (lambda step: -step, 'step 20: test/loss -20'),
    (lambda step: math.nan, 'step 10: loss '),
])
def test_of_good_checkpoints_the_best_is_named(tmp_path, metric, said):
  task = diverging(6)._replace(hooks=lambda session: [
      Hook(10, lambda state, step: {'test/loss': metric(step)})])
  with pytest.raises(RuntimeError, match=f'kept is that of {said}'):
    fit_run(task, Settings(steps=60, log_every=1), draw(), str(tmp_path))


def test_a_short_run_without_a_finite_update_is_an_error_too(tmp_path):
  source = ArraySource({'x': np.full((8, 2), 3e38, np.float32)})
  with pytest.raises(RuntimeError, match='no update was finite in 4 steps'):
    fit_run(ONE, Settings(steps=4), Data(source), str(tmp_path))


def test_hooks_of_the_caller_join_those_of_the_kind(tmp_path):
  seen = []

  def hooks(session):
    assert session.workdir == str(tmp_path)
    assert session.settings == Settings()
    return [Hook(10, lambda state, step: seen.append(step))]

  fit_run(ONE, Settings(), draw(), str(tmp_path), hooks=hooks)
  assert seen == [10, 20]


def test_params_that_were_fitted_are_kept_as_a_run(tmp_path):
  task = TASK._replace(build=lambda settings: TASK.build(settings)._replace(
      averages={}))
  params = {'mean': np.float32([1, 2]), 'log_scale': np.float32([0, 3])}
  for _ in range(2):
    keep_run(task, Settings(), params, str(tmp_path), draw().train)
  kept = Checkpointer(str(tmp_path / 'checkpoints'),
                      run=workdirs.read(str(tmp_path)).run)
  with contextlib.closing(kept):
    found, step = kept.restore_fields({'params': params, 'averages': {}})
  assert step == 1
  chex.assert_trees_all_equal(found['params'], params)


@pytest.mark.parametrize('params, said', [
    ({'mean': np.float32([1, 2])}, "['log_scale'] must be float32 (2,), got"),
    ({'mean': np.zeros(3, np.float32), 'log_scale': np.zeros(2, np.float32)},
     "['mean'] must be float32 (2,), got float32 (3,)"),
    ({'mean': np.zeros(2), 'log_scale': np.zeros(2, np.float32)},
     "['mean'] must be float32 (2,), got float64 (2,)"),
])
def test_params_that_could_not_be_opened_are_not_kept(tmp_path, params, said):
  with pytest.raises(ValueError, match=re.escape(f'keep_run: params{said}')):
    keep_run(TASK, Settings(), params, str(tmp_path / 'run'))
  assert not os.listdir(tmp_path)


def objective_of(**values):
  """ONE with another objective."""
  return ONE._replace(loss=lambda settings, model: ONE.loss(
      settings, model)._replace(**values))


def test_a_stream_of_its_own_is_another_run_of_the_seed(tmp_path):
  """Of params at a fixed beginning, which the key of the steps moves."""
  def loss(settings, model):
    def loss_fn(params, key, batch, context):
      del batch, context
      noise = jax.random.normal(key, params['mean'].shape)
      return jnp.sum(noise * params['mean']), {}

    return ONE.loss(settings, model)._replace(loss_fn=loss_fn, stream=stream)

  means, settings = [], Settings(begin=(0.0, 0.0), steps=1)
  for stream in ((), (0,), (1,)):
    workdir = str(tmp_path / f'{stream}')
    fit_run(ONE._replace(loss=loss), settings, draw(), workdir)
    means.append(weights_of(workdir)[0]['mean'].tolist())
  assert means[0] != means[1] != means[2] != means[0]


def test_params_may_begin_at_the_first_batch_that_is_trained_on():
  """Of a rate so small that they stay there."""
  def build(settings):
    def init(key, batch):
      del key
      return {'mean': batch['x'][0], 'log_scale': jnp.zeros(settings.shape)}

    return ONE.build(settings)._replace(init=init)

  settings = Settings(steps=1, learning_rate=1e-9)
  train = make_trainer(ONE._replace(build=build), settings)
  for seed in range(2):
    state = train(jax.random.key(0), draw().train, seed)
    first = next(pipeline.batches(draw().train, 64, seed=seed))['x'][0]
    np.testing.assert_allclose(state.params['mean'], first, rtol=0, atol=1e-6)


def test_points_cannot_be_mirrored(tmp_path):
  with pytest.raises(ValueError, match='horizontal_flip needs images'):
    fit_run(objective_of(flip=True), Settings(), draw(), str(tmp_path))


def test_training_in_memory_depends_on_its_arguments_alone():
  train = make_trainer(ONE, Settings())
  first, same, *others = (
      train(jax.random.key(key), draw(data).train, seed).params['mean']
      for key, data, seed in (
          (0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)))
  assert np.array_equal(first, same)
  assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize('name', [
    'steps', 'log_every', 'save_every', 'keep_every'])
def test_calls_that_go_beyond_a_step_are_refused(tmp_path, name):
  whole = dict(steps=8, log_every=4, save_every=4, keep_every=8)
  settings = Settings(**{**whole, name: 6}, steps_per_call=4)
  with pytest.raises(ValueError, match=f'^steps_per_call: must divide {name}=6'
                     ', got 4$'):
    fit_run(ONE, settings, draw(), str(tmp_path / 'run'))
  assert not os.listdir(tmp_path)


def test_several_steps_a_call_end_in_the_same_weights(unbroken, tmp_path):
  fit_run(ONE, Settings(steps_per_call=5), draw(), str(tmp_path))
  for weights, wanted in zip(weights_of(str(tmp_path)), weights_of(unbroken)):
    chex.assert_trees_all_close(weights, wanted, rtol=1e-5)


def test_a_batch_that_the_devices_do_not_divide_is_refused(tmp_path):
  for settings in (Settings(batch_size=12),
                   Settings(batch_size=16, micro_batches=4)):
    with pytest.raises(ValueError, match='^batch_size: must be a multiple'):
      fit_run(TASK, settings, draw(), str(tmp_path / 'run'))
  assert not os.listdir(tmp_path)
