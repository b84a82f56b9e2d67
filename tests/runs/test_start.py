"""Runs that begin with the weights of another one."""

import functools
import json
import os
import shutil

import jax
import numpy as np
import optax
import pytest

from genjax.runs import open_run
from genjax.runs import start
from genjax.runs.fit import fit_run
from genjax.training.state import init_state
from tests.runs.gaussian import draw
from tests.runs.gaussian import KINDS
from tests.runs.gaussian import loss
from tests.runs.gaussian import Settings
from tests.runs.gaussian import TASK

ONE = TASK._replace(loss=lambda settings, model: loss(
    settings, model)._replace(devices=1))


@pytest.fixture(name='kinds', autouse=True)
def _kinds(monkeypatch):
  monkeypatch.setattr(start, 'open_run',
                      functools.partial(open_run, kinds=KINDS))


def params_of(workdir, weights):
  return open_run(str(workdir), weights, kinds=KINDS).params


def test_a_run_begins_where_another_is_and_needs_it_no_more(tmp_path):
  for seed in (0, 1):
    fit_run(ONE, Settings(seed=seed, steps=5), draw(), f'{tmp_path}/{seed}')
  # So slow that it stays there.
  tuned = Settings(learning_rate=1e-9, steps=2, init_from=f'{tmp_path}/0')
  workdir = f'{tmp_path}/tuned'
  fit_run(ONE, tuned, draw(), workdir)
  want = params_of(tmp_path / '0', 'raw')
  for x, y in zip(*map(jax.tree.leaves, (params_of(workdir, 'raw'), want))):
    np.testing.assert_allclose(x, y, rtol=0, atol=1e-6)
  # The average too, of which the first two updates leave 2/11 * 3/12.
  share, ema = 2 / 11 * 3 / 12, params_of(tmp_path / '0', 'ema')
  np.testing.assert_allclose(
      params_of(workdir, 'ema')['mean'],
      share * ema['mean'] + (1 - share) * want['mean'], atol=1e-6)

  shutil.rmtree(tmp_path / '0')
  assert open_run(workdir, kinds=KINDS).step == 2
  fit_run(ONE, Settings(**{**vars(tuned), 'steps': 3}), draw(), workdir)
  assert open_run(workdir, kinds=KINDS).step == 3
  # Other weights in that place are another run.
  os.rename(tmp_path / '1', tmp_path / '0')
  shutil.rmtree(f'{workdir}/checkpoints')
  with pytest.raises(ValueError, match='holds a run with init_id='):
    fit_run(ONE, tuned, draw(), workdir)
  record = json.loads((tmp_path / 'tuned' / 'settings.json').read_text())
  assert len(record['init_id']) == 64


def test_what_is_no_run_is_refused_before_anything_is_written(tmp_path):
  workdir = f'{tmp_path}/tuned'
  with pytest.raises(ValueError, match='^init_from: .*must be the folder of a'):
    fit_run(ONE, Settings(init_from=f'{tmp_path}/none'), draw(), workdir)
  assert not os.path.exists(f'{workdir}/settings.json')


def _state(classes, width=2):
  params = {'class_embedding': np.full((classes + 1, width), classes),
            'dense': np.full(width, classes)}
  return init_state(params, optax.identity(), ('ema', 'ema:0.05'))


def _started(names, others, width=2):
  state, other = _state(len(names)), _state(len(others), width)
  return start.started(state, start.Start(
      'runs/a', others, other.params, jax.tree.map(lambda x: -x, other.params)),
                       names)


@pytest.mark.parametrize('names, others', [
    (('a', 'b'), ('a', 'b')), (('a', 'b'), ('a', 'c')), (('a',), ('a', 'b'))])
def test_the_embedding_of_other_classes_begins_afresh(names, others, caplog):
  state, same = _started(names, others), names == others
  assert ('begins afresh' in caplog.text) == (not same)
  for tree, sign in ((state.params, 1), (state.averages['ema'], -1),
                     (state.averages['ema:0.05'], 1)):
    np.testing.assert_array_equal(tree['dense'], sign * len(others))
    np.testing.assert_array_equal(
        tree['class_embedding'], np.full((len(names) + 1, 2), (
            sign * len(others) if same else len(names))))


@pytest.mark.parametrize('here, there', [
    (True, False), (False, True), (True, True)])
def test_a_model_of_changed_images_begins_where_one_of_unchanged_is(
    here, there):
  """And the other way round: what tells the changes is all that may differ."""

  def state(number, changes):
    params = {'dense': np.full(2, number)}
    if changes:
      params['augment'] = {'kernel': np.full((9, 2), number)}
    return init_state(params, optax.identity(), ('ema',))

  begun = start.started(state(1, here), start.Start(
      'runs/a', (), state(2, there).params, state(3, there).params), ())
  for tree, number in ((begun.params, 2), (begun.averages['ema'], 3)):
    assert ('augment' in tree) == here
    np.testing.assert_array_equal(tree['dense'], number)
    if here:
      np.testing.assert_array_equal(tree['augment']['kernel'],
                                    number if there else 1)


def test_all_that_does_not_fit_is_named(caplog):
  with pytest.raises(ValueError) as error:
    _started(('a',), ('b',), width=3)
  assert str(error.value) == (
      'init_from: must be a run of the same network and settings of it, got '
      "'runs/a', where ['dense'] is (3,) there and (2,) here")
  assert not caplog.text
