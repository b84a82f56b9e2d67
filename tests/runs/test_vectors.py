"""Diffusion models that are told numbers beside an example, in their units."""

import json

import jax
import numpy as np
import pytest

from experiments import asked
from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.diffusion import conditions
from genjax.reports import draws
from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs import open_run
from genjax.runs.diffusion_settings import Settings
from genjax.runs.fit import fit_run
from genjax.runs.task import Run

ONE = diffusion.TASK._replace(loss=lambda settings, model: diffusion.loss(
    settings, model)._replace(devices=1))


def points(num=1024):
  """x ~ N(((v - 600) / 100, 0), 0.1^2) of v uniform on [400, 800]."""
  rng = np.random.default_rng(0)
  v = rng.uniform(400, 800, num).astype(np.float32)
  x = np.stack([(v - 600) / 100, np.zeros(num)], 1) + rng.normal(
      0, 0.1, (num, 2))
  return ArraySource({'x': x.astype(np.float32), 'vector': v[:, None]}, (),
                     ('v',))


@pytest.fixture(name='run', scope='module')
def train(tmp_path_factory):
  """A run whose guidance is none and whose settings are those of the data."""
  settings = diffusion_settings.with_facts(
      Settings(network='mlp', width=(16,), depth=1, steps=400, batch_size=128,
               guidance=1.0, sampling_steps=12, learning_rate=2e-2,
               ema_decay=0.95, warmup=10, label_dropout=0.1),
      named.Data(points(), None))
  assert settings.vector_names == ('v',)
  # 1,024 draws of a uniform law of standard deviation 115.
  assert abs(settings.vector_mean[0] - 600) < 4 * 115 / 32
  assert abs(settings.vector_std[0] - 115.5) < 10
  workdir = str(tmp_path_factory.mktemp('vectors') / 'run')
  fit_run(ONE, settings, named.Data(points(), None), workdir)
  return open_run(workdir)


def test_a_run_draws_under_the_numbers_that_it_is_told(run):
  def mean(*v):
    return draws.draw('run', run, 64, None, 0, v)[:, 0].mean()

  # The law's own means are -1.5 and 1.5: 400 steps come that near.
  low, high = mean(450.0), mean(750.0)
  assert abs(low + 1.5) < 0.4 and abs(high - 1.5) < 0.4
  # Told nothing, it draws from all of them: of standard deviation 1.15.
  alone = draws.draw('run', run, 64, None, 0)[:, 0]
  assert alone.std() > 0.6
  # A condition that holds another part of it alone has the mean.
  told = run.denoiser({'vector': np.full((1, 1), run.settings.vector_mean[0],
                                         np.float32)})
  other = run.denoiser({'absent': np.zeros(1, bool)})
  x = np.ones((1, 2), np.float32)
  np.testing.assert_array_equal(told(x, 1.0), other(x, 1.0))


def test_numbers_of_another_length_are_refused(run):
  with pytest.raises(ValueError,
                     match=r'^cond: vector must have shape \(\d, 1\)'):
    run.sample(jax.random.key(0), (3,), {'vector': np.zeros((3, 2))})


def test_a_network_is_told_numbers_of_mean_0_and_spread_1():
  seen = []

  def apply(variables, x, noise, cond=None, **kwargs):
    del variables, noise, kwargs
    seen.append(cond)
    return x

  told = conditions.standardising(apply, [10.0, -1.0], [4.0, 0.5])
  x, noise = np.zeros((2, 3)), np.zeros(2)
  label = np.array([1, 2])
  told({}, x, noise, {'label': label, 'vector': np.float32([[18, -2], [6, 0]])})
  told({}, x, noise, {'label': label}, train=True)
  told({}, x, noise)
  np.testing.assert_array_equal(seen[0]['vector'], [[2, -2], [-1, 2]])
  np.testing.assert_array_equal(seen[1]['vector'], np.zeros((2, 2)))
  assert seen[0]['label'] is seen[1]['label'] is label and seen[2] is None
  with pytest.raises(ValueError, match='of one length, got 2 and 1'):
    conditions.standardising(apply, [0.0, 0.0], [1.0])


def test_numbers_that_do_not_vary_are_refused():
  source = ArraySource({'x': np.float32([[0], [1]]),
                        'vector': np.float32([[1, 7], [2, 7]])}, (), ('a', 'b'))
  with pytest.raises(ValueError, match="^labels: the column 'b' must vary"):
    diffusion_settings.vector_facts(source)


def test_a_model_that_is_told_nothing_is_told_no_numbers():
  chosen = dict(network='mlp', width=(8,), shape=(2,), vector_names=('v',),
                vector_mean=(0.0,), vector_std=(1.0,))
  for conditional in (True, False):
    settings = Settings(**chosen, conditional=conditional)
    assert diffusion_settings.is_told(settings) == conditional
    assert bool(draws.numbers_of(settings)) == conditional
    params = jax.eval_shape(
        diffusion.build(Settings(**chosen, conditional=conditional,
                                 guidance=1.0)).init, jax.random.key(0), None)
    assert ('vector_embedding' in json.dumps(jax.tree.map(
        str, params))) == conditional


def test_what_is_drawn_under_is_the_same_for_all_samples():
  seen = []

  def drawn(key, shape, cond):
    seen.append(cond)
    return np.zeros((*shape, 2))

  run = Run(ONE, Settings(), {}, 0, sample=drawn)
  draws.draw('run', run, 3, np.arange(3), 0, [0.5, 2.0])
  np.testing.assert_array_equal(seen[0]['vector'], [[0.5, 2.0]] * 3)
  np.testing.assert_array_equal(seen[0]['label'], np.arange(3))


@pytest.mark.parametrize('names, words, said', [
    ((), ['1'], 'vector: must be absent for a model that is told no numbers'),
    (('a', 'b'), ['1'], 'vector: must be 2 numbers, like'),
    (('a',), ['x'], 'vector: must be 1 numbers, like'),
    (('a',), ['nan'], 'vector: must be 1 numbers, like'),
])
def test_numbers_that_do_not_fit_are_refused(names, words, said):
  assert asked.parse_vector(names, None) is None
  with pytest.raises(ValueError, match=f'^{said}'):
    asked.parse_vector(names, words)


def test_numbers_are_read_in_order():
  assert asked.parse_vector(('a', 'b'), ['0.3', '1.2']) == [0.3, 1.2]
