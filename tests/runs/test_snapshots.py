"""Averages of any width of a run that is over, against those of every step."""

import contextlib
import os
import signal

import chex
import numpy as np
import pytest

from genjax.runs import open_run
from genjax.runs.fit import fit_run
from genjax.runs.fit import Stopped
from genjax.training import averages
from genjax.training.checkpoint import Checkpointer
from genjax.training.loop import Hook
from tests.runs import gaussian
from tests.runs.gaussian import draw
from tests.runs.gaussian import KINDS
from tests.runs.gaussian import Settings

STEPS, WIDTHS = 24, (0.05, 0.1)
SETTINGS = Settings(steps=STEPS, save_every=4, log_every=24, batch_size=64)
TASK = gaussian.TASK._replace(
    build=lambda settings: gaussian.build(settings)._replace(
        averages=averages.named(settings.ema_decay, WIDTHS)),
    loss=lambda settings, model: gaussian.loss(settings, model)._replace(
        devices=1),
    hooks=lambda session: gaussian.hooks(session._replace(data=draw())))


def broken():
  """Points of which one is none: steps that meet it are left out."""
  data = draw()
  data.train.arrays['x'][0] = np.nan
  return data


class Killed(BaseException):
  """The process is gone: nothing more is saved."""


@pytest.fixture(name='task', autouse=True)
def _task(monkeypatch):
  monkeypatch.setattr(gaussian, 'TASK', TASK)


@pytest.fixture(name='whole', scope='module')
def _whole(tmp_path_factory):
  """Of a run that nothing stopped: workdir, mean after each update [U, 2]
  float64, updates at each checkpoint."""
  workdir, means, counts = str(tmp_path_factory.mktemp('whole')), {}, []

  def look(state, step):
    updates = int(state.step - state.skipped)
    means[updates] = np.asarray(state.params['mean'], np.float64)
    if step % 4 == 0:
      counts.append(updates)

  fit_run(TASK, SETTINGS, broken(), workdir,
          hooks=lambda session: [Hook(1, look)])
  means.pop(0, None)
  assert counts[-1] < STEPS
  return workdir, np.stack([*means.values()]), np.array(counts)


def opened(workdir, weights):
  return open_run(workdir, weights, kinds=KINDS)


def profile(width, at, k):
  power = averages.exponent(width) + 1
  return np.where(k <= at, (np.minimum(k, at) / at)**power
                  - (np.minimum(k - 1, at) / at)**power, 0)


@pytest.mark.parametrize('width', WIDTHS)
def test_a_width_that_is_kept_is_opened_as_it_is(whole, width):
  workdir, means, at = whole
  run = opened(workdir, f'ema:{width}')
  want = profile(width, at[-1], np.arange(1, at[-1] + 1)) @ means
  # Of float32: a rounding each step of numbers of at most 2.
  np.testing.assert_allclose(run.params['mean'], want, rtol=0,
                             atol=STEPS * 2.0**-23)
  assert run.step == STEPS


@pytest.mark.parametrize('width', [.04, .07, .15, .25])
def test_another_width_is_that_of_every_step(whole, width):
  """To what least squares leave of its profile times the trajectory."""
  workdir, means, at = whole
  t, widths = at.repeat(2), np.tile(WIDTHS, len(at))
  k = np.arange(1, at[-1] + 1)
  x = averages.combination(t, widths, width, at[-1])
  made = x @ np.stack([profile(*pair, k) for pair in zip(widths, t)])
  want = profile(width, at[-1], k)
  got = opened(workdir, f'ema:{width}').params['mean']
  rounding = np.abs(x).sum() * STEPS * 2.0**-23
  np.testing.assert_allclose(got, made @ means, rtol=0, atol=rounding)
  bound = np.linalg.norm(made - want) * np.linalg.norm(
      means - means.mean(0), axis=0)
  error = np.abs(got - want @ means)
  assert (error <= bound + rounding).all()
  # Nearer than either of those that are kept.
  kept = [np.abs(opened(workdir, f'ema:{w}').params['mean'] - want @ means)
          for w in WIDTHS]
  assert error.max() < min(a.max() for a in kept)


def test_a_run_stopped_and_killed_has_the_same_averages_and_best(
    whole, tmp_path):
  workdir = str(tmp_path)

  def end_at(last, kill):
    def hook(state, step):
      del state
      if step == last and kill:
        raise Killed
      if step == last:
        signal.raise_signal(signal.SIGTERM)
    return lambda session: [Hook(1, hook)]

  for last, kill in ((6, False), (11, True), (17, False), (STEPS, True)):
    with contextlib.suppress(Stopped, Killed):
      fit_run(TASK, SETTINGS, broken(), workdir, hooks=end_at(last, kill))
  fit_run(TASK, SETTINGS, broken(), workdir)
  for weights in ('raw', 'ema', 'ema:0.05', 'ema:0.15'):
    chex.assert_trees_all_equal(opened(workdir, weights).params,
                                opened(whole[0], weights).params)
  best, steps = zip(*[_kept(path) for path in (workdir, whole[0])])
  assert best[0] == best[1] and best[0] is not None
  assert steps[0] == steps[1] == list(range(4, STEPS + 1, 4))


def _kept(workdir):
  """(step of the best checkpoint, steps of the snapshots)."""
  checkpoints, snapshots = (Checkpointer(os.path.join(workdir, name))
                            for name in ('checkpoints', 'snapshots'))
  with contextlib.closing(checkpoints), contextlib.closing(snapshots):
    return checkpoints.best_step(), snapshots.steps()


def test_what_cannot_be_made_is_refused_in_one_line(whole, tmp_path):
  for weights, said in (('ema:0.5', r'width after ema: must be in \[0.01'),
                        ('ema:', 'must be one of raw, ema')):
    with pytest.raises(ValueError, match=f'^weights: .*{said}'):
      opened(whole[0], weights)
  os.symlink(os.path.join(whole[0], 'checkpoints'), tmp_path / 'checkpoints')
  os.symlink(os.path.join(whole[0], 'settings.json'),
             tmp_path / 'settings.json')
  with pytest.raises(ValueError, match='^weights: .*has kept no snapshots'):
    opened(str(tmp_path), 'ema:0.2')
  os.makedirs(tmp_path / 'snapshots' / '8')
  with pytest.raises(RuntimeError, match='^weights: snapshot .*8. is damaged'):
    opened(str(tmp_path), 'ema:0.2')
