"""Training by its script: what it leaves, and that it is one run.

Steps compared bit for bit are those of a tiny transformer, which compiles
fast; the U-Net runs in test_photographs.py.
"""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import chex
import jax
import numpy as np
import optax
import pytest

from experiments import train_diffusion
from genjax.data import named
from genjax.data import pipeline
from genjax.data import toy
from genjax.diffusion.named import PREDICTIONS
from genjax.diffusion.named import PROCESSES
from genjax.runs import diffusion
from genjax.runs.diffusion_choice import resolve
from genjax.runs.task import Session
from genjax.training.logs import read_metrics
from genjax.training.state import init_state
from genjax.viz.figures import BLUE
from tests.environment import environment
from tests.figures import ink

STEPS = 6


def losses_of(workdir):
  return [record['loss'] for record in read_metrics(workdir / 'metrics.jsonl')]


def without_clock(workdir):
  clock = ('steps_per_second', 'examples_per_second', 'flop_per_second',
           'data_share')
  return [{k: v for k, v in record.items() if k not in clock}
          for record in read_metrics(workdir / 'metrics.jsonl')]


@pytest.fixture(scope='module')
def flags(tiny):
  return (*tiny, f'--steps={STEPS}', f'--save_every={STEPS // 2}')


@pytest.fixture(scope='module')
def trained(run, flags, tmp_path_factory):
  """An unbroken run on 8 devices: (workdir, Result)."""
  workdir = tmp_path_factory.mktemp('train') / 'run'
  return workdir, run(train_diffusion, f'--workdir={workdir}', *flags)


def noted(text):
  """Whether it holds no warning, and only the notes that are meant."""
  return re.fullmatch(
      r'(I\d{4} .*(going on from step \d+|step \d: still improving|'
      r'the average lags behind: .*)\n)*', text)


def test_training_writes_everything_it_promises(trained):
  workdir, result = trained
  assert result.code == 0 and noted(result.err)
  assert str(workdir) in result.out and len(result.out.splitlines()) == 1
  names = ['checkpoints', 'figures', 'losses.npz', 'metrics.jsonl',
           'settings.json', 'tensorboard']
  assert sorted(p.name for p in workdir.iterdir()) == names
  assert result.out.strip().endswith(f'holds {", ".join(names)}')
  assert {p.name for p in (workdir / 'checkpoints').iterdir()} == {'3', '6'}
  assert {p.name for p in (workdir / 'figures').iterdir()} == {
      'samples_0000003.png', 'samples_0000006.png', 'training.png'}
  (events,) = (workdir / 'tensorboard').iterdir()
  data = events.read_bytes()
  for name in (b'grad_norm', b'test/loss', b'loss_by_log_snr/', b'samples'):
    assert name in data
  settings = json.loads((workdir / 'settings.json').read_text())
  assert settings['width'] == [8] and settings['batch_size'] == 8
  assert settings['shape'] == [8, 8, 1] and len(settings['class_names']) == 10


def test_training_logs_loss_by_noise_level_gradient_and_held_out(trained):
  records = read_metrics(trained[0] / 'metrics.jsonl')
  assert [record['step'] for record in records] == list(range(1, STEPS + 1))
  for record in records:
    assert record['loss'] > 0 and record['grad_norm'] > 0
    assert record['skipped'] == 0
    bins = {k: v for k, v in record.items() if k.startswith('loss_by_log_snr')}
    assert len(bins) == 8
    reached = [v for v in bins.values() if v is not None]
    # A batch of 8 spreads over bins, and its loss is a mean of theirs.
    assert len(reached) >= 3
    assert min(reached) <= record['loss'] <= max(reached)
    assert ('test/loss' in record) == (record['step'] in (3, 6))
  held = records[-1]
  bins = [v for k, v in held.items() if k.startswith('test/loss_by')]
  assert min(bins) <= held['test/loss'] <= max(bins)


@pytest.mark.parametrize('stop_after', [1, 5])
def test_stopped_and_resumed_is_bitwise_the_unbroken_run(
    run, flags, trained, state_of, tmp_path, stop_at, stop_after):
  workdir = tmp_path / 'run'
  with stop_at(stop_after):
    result = run(train_diffusion, f'--workdir={workdir}', *flags)
  assert result.code == 0
  assert 'the same command' in result.out and 'finished' not in result.out
  state, step = state_of(workdir)
  assert step == stop_after == int(state.step)
  assert len(losses_of(workdir)) == stop_after

  result = run(train_diffusion, f'--workdir={workdir}', *flags)
  assert result.code == 0 and 'finished' in result.out
  chex.assert_trees_all_equal(state_of(workdir)[0], state_of(trained[0])[0])
  assert without_clock(workdir) == without_clock(trained[0])


def test_resumed_after_more_was_logged_than_saved_cuts_the_logs_back(
    run, flags, trained, state_of, tmp_path):
  """What kill -9 leaves: checkpoint 3, lines up to 6 and a torn one."""
  workdir = tmp_path / 'run'
  shutil.copytree(trained[0], workdir)
  shutil.rmtree(workdir / 'checkpoints' / '6')
  with open(workdir / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 7, "lo')
  assert run(train_diffusion, f'--workdir={workdir}', *flags).code == 0
  chex.assert_trees_all_equal(state_of(workdir)[0], state_of(trained[0])[0])
  assert without_clock(workdir) == without_clock(trained[0])


def test_finished_run_stays_as_it_is(run, flags, trained, files_of, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(trained[0], workdir)
  before = files_of(workdir)
  result = run(train_diffusion, f'--workdir={workdir}', *flags)
  assert result.code == 0 and 'finished' in result.out
  after = files_of(workdir)
  changed = {name for name in after if after[name] != before.get(name)}
  assert before.keys() <= after.keys()
  assert not {n for n in changed if not n.startswith(('tensorboard/',
                                                      'figures/training'))}


RINGS = ('--preset=toy', '--data=toy:rings', '--width=8', '--batch_size=256',
         '--depth=1', '--steps=4', '--log_every=1', '--noconditional')


@pytest.fixture(scope='module')
def rings(run, tmp_path_factory):
  """The workdir of a run on points, without classes, on 8 devices."""
  workdir = tmp_path_factory.mktemp('rings') / 'run'
  result = run(train_diffusion, f'--workdir={workdir}', *RINGS)
  assert result.code == 0 and noted(result.err)
  return workdir


@pytest.mark.slow
def test_every_compilation_gives_the_same_losses(
    run, rings, tmp_path, state_of):
  for how in ('fsdp', 'pmap'):
    workdir = tmp_path / how
    result = run(train_diffusion, f'--workdir={workdir}', *RINGS,
                 f'--parallel={how}')
    assert result.code == 0 and noted(result.err)
    np.testing.assert_allclose(losses_of(workdir), losses_of(rings), rtol=1e-5)

  assert ink(workdir / 'figures' / 'samples_0000004.png', BLUE) > 5e-5
  assert 'test/loss' in read_metrics(workdir / 'metrics.jsonl')[-1]
  assert json.loads((workdir / 'settings.json').read_text())['guidance'] == 1
  state, _ = state_of(workdir)
  assert 'class_embedding' not in str(jax.tree.structure(state.params))


@pytest.fixture(scope='module')
def points():
  """Settings, params and a batch of a small run on points."""
  settings, data, _ = resolve('toy', {'width': (8,), 'depth': 1})
  params = diffusion.build(settings).init(jax.random.key(0), None)
  return settings, params, next(pipeline.batches(data.train, 64, seed=0))


def test_test_loss_is_that_of_the_averaged_weights(points, tmp_path):
  settings, params, _ = points
  model = diffusion.build(settings)
  data = named.Data(toy.toy_source('moons', 256, 0),
                    toy.toy_source('moons', 256, 1))
  (hook,) = diffusion.hooks(Session(settings, model, data, str(tmp_path), None))
  assert hook.every == settings.save_every
  state = init_state(params, optax.identity(), model.averages)
  moved = jax.tree.map(lambda x: x + 0.1, params)
  same = hook.call(state, 1)
  first = same['test/loss']
  assert same['test/loss_raw'] == first
  other = hook.call(state._replace(params=moved), 1)
  assert other['test/loss'] == first != other['test/loss_raw']
  changed = state._replace(averages={'ema': moved})
  second = hook.call(changed, 2)
  assert second['test/loss'] != first
  # The losses of each example are kept, and those of a step replace later ones.
  for step in (3, 2):
    hook.call(changed, step)
  whole = (tmp_path / 'losses.npz').read_bytes()
  for damaged in (b'', b'no archive', whole[:-30]):  # no reason to stop
    (tmp_path / 'losses.npz').write_bytes(damaged)
    assert hook.call(changed, 2) == second
  (tmp_path / 'losses.npz').write_bytes(whole)
  with np.load(tmp_path / 'losses.npz') as kept:
    np.testing.assert_array_equal(kept['step'], [1, 2])
    assert kept['test'].shape == kept['train'].shape == (2, 256)
    np.testing.assert_allclose(
        [kept['test'][1].mean(), kept['train'][1].mean()],
        [second['test/loss'], second['train/loss']], rtol=1e-6)
    assert second['test/loss'] != second['train/loss']
  assert not diffusion.hooks(Session(settings, model, data._replace(test=None),
                                     '', None))


@pytest.mark.parametrize('process', PROCESSES)
def test_every_process_and_prediction_has_a_finite_loss(points, process):
  settings, params, batch = points
  # Refused where alpha falls to 0, see test_bad_input.py.
  kinds = [dataclasses.replace(settings, process=process, prediction=prediction)
           for prediction in PREDICTIONS if not (
               prediction == 'eps' and process in ('vp_cosine',
                                                   'flow_matching'))]
  models = [diffusion.build(kind) for kind in kinds]

  # Of all at once, as they share the noise, which takes longest to compile.
  @jax.jit(compiler_options={'xla_backend_optimization_level': 0})
  def losses_of_all(params, key, batch):
    return [diffusion.loss(kind, model).loss_fn(params, key, batch, None)
            for kind, model in zip(kinds, models)]

  for loss, bins in losses_of_all(params, jax.random.key(0), batch):
    assert np.isfinite(loss) and loss > 0
    total = sum(mean.total for mean in bins.values())
    assert sum(mean.count for mean in bins.values()) == 64
    np.testing.assert_allclose(total / 64, loss, rtol=1e-5)
  # The grid of every process begins at its end and falls to the least noise.
  proc = models[0].parts.process
  grid = np.asarray(proc.grid(4))
  assert grid.shape == (5,) and np.all(np.diff(grid) < 0)
  least = settings.sigma_min if process == 've' else 0
  np.testing.assert_allclose(proc.sigma(grid[-1]), least, atol=1e-6)


def command(workdir, *args):
  return [sys.executable, '-m', 'experiments.train_diffusion',
          f'--workdir={workdir}', *args]


@pytest.mark.slow
def test_what_users_compile_gives_the_same_losses(rings, tmp_path):
  """On one device, where the tests have eight and compile in haste."""
  result = subprocess.run(
      command(tmp_path / 'run', *RINGS, '--sampling_steps=2'),
      capture_output=True, text=True, timeout=240,
      env=environment(hastily=False), check=False)
  assert result.returncode == 0 and result.stdout.startswith('finished')
  np.testing.assert_allclose(losses_of(tmp_path / 'run'), losses_of(rings),
                             rtol=1e-5)


def test_process_stopped_by_sigterm_goes_on_as_the_same_run(
    run, flags, trained, tmp_path):
  """A real process, on one device; what it says is all that it says.

  It goes on here, on eight devices.
  """
  workdir = tmp_path / 'run'
  log = workdir / 'metrics.jsonl'
  args = command(workdir, *flags)
  with subprocess.Popen(
      args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
      env=environment()) as process:
    while process.poll() is None and not (
        log.exists() and log.read_text().count('\n') >= 1):
      time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=240)
  # The hooks at step 3 take seconds: the signal comes before or in them.
  assert process.returncode == 0 and noted(err)
  assert out.startswith('stopped: the same command goes on')
  assert 1 <= len(losses_of(workdir)) < STEPS

  result = run(train_diffusion, f'--workdir={workdir}', *flags)
  assert result.code == 0 and result.out.startswith('finished')
  assert noted(result.err)
  np.testing.assert_allclose(losses_of(workdir), losses_of(trained[0]),
                             rtol=1e-5)


def test_process_fails_with_one_line(tmp_path):
  result = subprocess.run(
      command(tmp_path / 'run', '--data=toy:moon'), capture_output=True,
      text=True, timeout=120, env=environment(), check=False)
  assert (result.returncode, result.stdout) == (1, '')
  assert result.stderr.startswith('train_diffusion: ')
  assert result.stderr.count('\n') == 1 and 'moons' in result.stderr
  assert not (tmp_path / 'run').exists()
