import json
import os
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.stats

from genjax.runs import open_run
from genjax.runs.fit import fit_run
from genjax.training.loop import Hook
from tests.runs import gaussian
from tests.runs.gaussian import draw
from tests.runs.gaussian import KINDS
from tests.runs.gaussian import Settings
from tests.runs.gaussian import TASK


@pytest.fixture(name='workdir', scope='module')
def train(tmp_path_factory):
  """A run whose average is far from its last params."""
  workdir = str(tmp_path_factory.mktemp('run'))
  task = TASK._replace(loss=lambda settings, model: TASK.loss(
      settings, model)._replace(devices=1))
  fit_run(task, Settings(ema_decay=0.99), draw(), workdir)
  return workdir


def test_what_is_opened_samples_and_scores(workdir):
  run = open_run(workdir, kinds=KINDS)
  assert (run.task.kind, run.step) == ('gaussian', 20)
  assert run.settings == Settings(ema_decay=0.99)
  assert run.denoiser is None and run.predict is None
  mean, scale = run.params['mean'], np.exp(run.params['log_scale'])
  x = np.float32([[1, -2], [0, 3]])
  want = scipy.stats.norm(mean, scale).logpdf(x).sum(1)
  np.testing.assert_allclose(run.log_prob(x), want, rtol=1e-5)
  draws = run.sample(jax.random.key(0), (4000,))
  # 5 standard errors, of a mean and of a standard deviation.
  error = 5 * scale / np.sqrt(4000)
  assert (np.abs(draws.mean(0) - mean) < error).all()
  assert (np.abs(draws.std(0) - scale) < error).all()
  np.testing.assert_allclose(run.decode(run.encode(x)), x, atol=1e-5)


def test_each_of_the_weights_is_what_it_is_called(workdir):
  ema, raw = (open_run(workdir, weights, kinds=KINDS).params
              for weights in ('ema', 'raw'))
  # The average lags behind on the way from (., .) to (1, -2).
  assert not np.allclose(ema['mean'], raw['mean'])
  x = draw().train.arrays['x'].mean(0)
  assert np.abs(raw['mean'] - x).sum() < np.abs(ema['mean'] - x).sum()
  with pytest.raises(ValueError, match="weights: must be one of .*got 'best'"):
    open_run(workdir, 'best', kinds=KINDS)


def test_a_moved_run_opens_and_nothing_in_it_is_touched(workdir, tmp_path):
  moved = str(tmp_path / 'lr=[0.1] *?')
  shutil.copytree(workdir, moved)
  before = {path: os.stat(os.path.join(moved, path)).st_mtime_ns
            for path in os.listdir(moved)}
  params = open_run(moved, kinds=KINDS).params
  assert np.array_equal(params['mean'],
                        open_run(workdir, kinds=KINDS).params['mean'])
  assert before == {path: os.stat(os.path.join(moved, path)).st_mtime_ns
                    for path in os.listdir(moved)}


def test_what_is_no_whole_run_is_refused_in_one_line(workdir, tmp_path):
  young = tmp_path / 'young'
  shutil.copytree(workdir, young)
  shutil.rmtree(young / 'checkpoints')
  for path, said in ((str(young), 'must hold a checkpoint'),
                     (str(tmp_path / 'absent'), 'must be the folder of a run'),
                     ('', 'must name a folder')):
    with pytest.raises(ValueError, match=said) as error:
      open_run(path, kinds=KINDS)
    assert len(str(error.value).splitlines()) == 1
  with pytest.raises(ValueError, match="kind must be one of.*got 'gaussian'"):
    open_run(workdir)


@pytest.mark.parametrize('name, value', [
    ('kind', '../x'), ('shape', [3]), ('learning_rate', '0.1'), ('steps', 0)])
def test_damaged_settings_are_refused_by_name(workdir, tmp_path, name, value):
  damaged = tmp_path / 'run'
  shutil.copytree(workdir, damaged)
  record = json.loads((damaged / 'settings.json').read_text())
  (damaged / 'settings.json').write_text(json.dumps({**record, name: value}))
  said = {'shape': 'as it was written'}.get(name, f'{name} must be')
  with pytest.raises(ValueError, match=re.escape(said)):
    open_run(str(damaged), kinds=KINDS)


def best_task():
  """A kind that is opened at its best step; of the ranks the first is best."""
  def hooks(session):
    del session
    return [Hook(5, lambda state, step: {'test/loss': step})]

  return TASK._replace(opens_best=True, hooks=hooks, build=lambda settings:
                       TASK.build(settings)._replace(averages={}))


def test_the_best_step_is_opened_where_the_kind_says_so(tmp_path, monkeypatch):
  monkeypatch.setattr(gaussian, 'TASK', best_task())
  fit_run(gaussian.TASK, Settings(save_every=5, batch_size=64), draw(),
          str(tmp_path))
  run = open_run(str(tmp_path), kinds=KINDS)
  assert run.step == 5
  # Which keeps no average: its params are opened.
  raw = open_run(str(tmp_path), 'raw', kinds=KINDS)
  assert np.array_equal(run.params['mean'], raw.params['mean'])


def test_importing_the_room_imports_no_kind():
  code = ('import genjax.runs, sys\n'
          'print(*[m for m in sys.modules if m.startswith("genjax.")])')
  loaded = subprocess.run([sys.executable, '-c', code], check=True, text=True,
                          capture_output=True).stdout.split()
  assert 'genjax.runs.open' in loaded
  assert not {'genjax.diffusion', 'genjax.vae', 'genjax.networks',
              'genjax.viz'} & set(loaded)
