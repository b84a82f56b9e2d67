import glob
import itertools
import math
import os
import re
import signal
import time

from absl import logging
import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.training import loop
from genjax.training import meter
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.logs import read_metrics
from genjax.training.loop import fit
from genjax.training.loop import Hook
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Mean

NUM_STEPS = 24


@pytest.fixture(scope='module')
def compiled(problem):
  return compile_step(
      make_step(problem.loss_fn, problem.tx, averages=problem.averages),
      make_mesh(1))


@pytest.fixture(scope='module')
def run(problem, compiled):
  """run(workdir, ...): trains there as a script does, resuming."""
  def run(workdir, *, num_steps=NUM_STEPS, batches_from=problem.batches_from,
          compiled=compiled, log_every=4, save_every=6, hooks=()):
    checkpointer = Checkpointer(os.path.join(workdir, 'checkpoints'))
    writer = MetricsWriter(str(workdir))
    try:
      return fit(compiled, init_state(problem.params, problem.tx, ['ema']),
                 problem.key, batches_from, num_steps=num_steps,
                 log_every=log_every, save_every=save_every,
                 checkpointer=checkpointer, writer=writer, hooks=hooks)
    finally:
      checkpointer.close()
      writer.close()
  return run


@pytest.fixture(scope='module')
def unbroken(run, tmp_path_factory):
  """State and log of a run that nothing stops."""
  workdir = tmp_path_factory.mktemp('unbroken')
  outcome = run(workdir, hooks=[Hook(6, lambda state, step: {'seen': step})])
  assert not outcome.stopped
  return outcome.state, read_metrics(workdir / 'metrics.jsonl')


def assert_same_run(workdir, outcome, unbroken):
  """Bitwise the same state, and the same steps in the log."""
  assert not outcome.stopped
  chex.assert_trees_all_equal(outcome.state, unbroken[0])
  lines = read_metrics(workdir / 'metrics.jsonl')
  assert ([(line['step'], line.keys()) for line in lines]
          == [(line['step'], line.keys()) for line in unbroken[1]])
  # The last line averages over steps that no test here has cut through.
  assert lines[-1]['loss'] == pytest.approx(unbroken[1][-1]['loss'], rel=1e-6)


def stop_at(stop_step, action):
  """The hook of `unbroken`, and one that acts at `stop_step`."""
  def act(state, step):
    if step == stop_step:
      action()
  return [Hook(6, lambda state, step: {'seen': step}), Hook(1, act)]


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP])
@pytest.mark.parametrize('stop_step', [1, 8, 12, 17])
def test_run_stopped_by_a_signal_and_resumed_is_the_unbroken_run(
    run, unbroken, tmp_path, stop_step, signum):
  before = signal.getsignal(signum)
  stopped = run(tmp_path, hooks=stop_at(
      stop_step, lambda: os.kill(os.getpid(), signum)))
  assert (stopped.stopped, stopped.state.step) == (signum, stop_step)
  assert signal.getsignal(signum) is before
  outcome = run(tmp_path, hooks=stop_at(None, None))
  assert_same_run(tmp_path, outcome, unbroken)


@pytest.mark.parametrize('crash_step', [3, 13, 18])
def test_run_that_crashed_and_is_resumed_is_the_unbroken_run(
    run, unbroken, tmp_path, crash_step):
  def crash():
    raise OSError('the power is gone')

  with pytest.raises(OSError, match='the power is gone'):
    run(tmp_path, hooks=stop_at(crash_step, crash))
  outcome = run(tmp_path, hooks=stop_at(None, None))
  assert_same_run(tmp_path, outcome, unbroken)


def test_run_with_a_damaged_checkpoint_resumed_is_the_unbroken_run(
    run, unbroken, tmp_path, monkeypatch):
  warnings = []
  monkeypatch.setattr(logging, 'warning', lambda *args: warnings.append(args))
  run(tmp_path, hooks=stop_at(
      15, lambda: os.kill(os.getpid(), signal.SIGTERM)))
  for path in glob.glob(f'{tmp_path}/checkpoints/15/weights/d/*'):
    with open(path, 'r+b') as file:
      data = file.read()
      file.seek(len(data) // 2)
      file.write(bytes([data[len(data) // 2] ^ 1]))
  outcome = run(tmp_path, hooks=stop_at(None, None))
  assert [w[1] for w in warnings if 'is damaged' in w[0]] == [15]
  assert_same_run(tmp_path, outcome, unbroken)


@pytest.fixture(name='interruptible')
def _interruptible():
  """A shell starts background jobs, and so their tests, deaf to SIGINT."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('interruptible')
def test_second_signal_acts_at_once(run, tmp_path):
  def twice():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)

  with pytest.raises(KeyboardInterrupt):
    run(tmp_path, hooks=stop_at(3, twice))
  assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize('bad', [1, 9, 13])
def test_run_whose_data_broke_is_saved_and_goes_on_when_they_are_mended(
    problem, run, unbroken, tmp_path, bad):
  def breaking(step):
    for number, batch in enumerate(problem.batches_from(step), step + 1):
      if number == bad:
        raise ValueError('x.png is broken')
      yield batch

  with pytest.raises(ValueError, match='^x.png is broken$'):
    run(tmp_path, batches_from=breaking)
  steps = [int(s) for s in os.listdir(tmp_path / 'checkpoints') if s.isdigit()
           ] if bad > 1 else [0]
  assert max(steps) == bad - 1
  outcome = run(tmp_path, hooks=stop_at(None, None))
  chex.assert_trees_all_equal(outcome.state, unbroken[0])


def test_sigusr1_saves_and_training_goes_on(run, unbroken, tmp_path):
  """At steps 8 and 9, where nothing would be saved otherwise."""
  saved = []

  def look(state, step):
    saved.append({int(path.name) for path in tmp_path.glob(
        'checkpoints/[0-9]*') if path.name.isdigit()})
    if step in (8, 9):
      os.kill(os.getpid(), signal.SIGUSR1)

  before = signal.getsignal(signal.SIGUSR1)
  outcome = run(tmp_path, hooks=[Hook(6, lambda state, step: {'seen': step}),
                                 Hook(1, look)])
  assert signal.getsignal(signal.SIGUSR1) is before
  assert_same_run(tmp_path, outcome, unbroken)
  # A save is seen when it is whole, which may be some steps later.
  assert {8, 9} <= set().union(*saved)
  assert not {7, 10} & set().union(*saved)


def test_end_of_a_terminal_is_passed_over_where_it_was(run, tmp_path):
  """As nohup asks for."""
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    outcome = run(tmp_path, num_steps=6, hooks=stop_at(
        3, lambda: os.kill(os.getpid(), signal.SIGHUP)))
    assert outcome.stopped is None and outcome.state.step == 6
  finally:
    signal.signal(signal.SIGHUP, before)


def test_signal_at_the_last_step_is_no_stop(run, unbroken, tmp_path):
  outcome = run(tmp_path, hooks=stop_at(
      NUM_STEPS, lambda: os.kill(os.getpid(), signal.SIGTERM)))
  assert not outcome.stopped
  chex.assert_trees_all_equal(outcome.state, unbroken[0])


def test_finished_run_is_returned_without_a_step(problem, run, tmp_path):
  first = run(tmp_path, num_steps=6)
  lines = read_metrics(tmp_path / 'metrics.jsonl')

  def no_batches(step):
    raise AssertionError(step)

  again = run(tmp_path, num_steps=6, batches_from=no_batches)
  chex.assert_trees_all_equal(again.state, first.state)
  assert read_metrics(tmp_path / 'metrics.jsonl') == lines


def test_longer_run_goes_on_where_the_shorter_ended(
    problem, run, unbroken, tmp_path):
  starts = []

  def batches_from(step):
    starts.append(step)
    return problem.batches_from(step)

  run(tmp_path, num_steps=10, batches_from=batches_from)
  outcome = run(tmp_path, batches_from=batches_from)
  assert starts == [0, 10]
  chex.assert_trees_all_equal(outcome.state, unbroken[0])


def test_hooks_see_the_state_of_their_step(problem, run, tmp_path):
  seen = []

  def look(state, step):
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(state))
    seen.append((step, int(state.step), state.params['w'].copy(), state))
    return {'held_out_loss': {3: 2.0, 6: 1.0, 9: np.nan}.get(step, 3.0)}

  run(tmp_path, num_steps=16, log_every=4, save_every=3, hooks=[Hook(3, look)])
  assert [s[:2] for s in seen] == [(i, i) for i in (3, 6, 9, 12, 15, 16)]
  for _, _, copy, state in seen:  # later steps write over nothing
    np.testing.assert_array_equal(state.params['w'], copy)
  lines = read_metrics(tmp_path / 'metrics.jsonl')
  assert ([line['step'] for line in lines]
          == sorted({3, 6, 9, 12, 15, 16} | {4, 8, 12, 16}))
  by_step = {line['step']: line for line in lines}
  assert by_step[9] == {'step': 9, 'held_out_loss': None}
  assert {'loss', 'held_out_loss'} <= by_step[12].keys()
  checkpointer = Checkpointer(tmp_path / 'checkpoints')
  assert checkpointer.best_step() == 6
  assert checkpointer.steps() == [6, 15, 16]
  checkpointer.close()


def scripted(values):
  """A loop whose metric 'part' and finiteness come from the batches."""
  def loss_fn(params, key, batch, context):
    part = Mean(batch['total'][0], batch['count'][0])
    return params * batch['total'][0], {'part': part}

  def batches_from(start):
    for total, count in itertools.islice(values, start, None):
      yield {'total': np.float32([total]), 'count': np.float32([count])}

  tx = optax.sgd(0.0)
  step = make_step(loss_fn, tx, averages={})
  return (compile_step(step, make_mesh(1)), init_state(jnp.ones(()), tx),
          jax.random.key(0), batches_from)


def test_logged_metrics_are_means_over_all_of_an_interval(tmp_path):
  values = [(6, 3), (0, 0), (1, 1), (np.nan, 5), (9, 1), (0, 0), (0, 0)]
  writer = MetricsWriter(str(tmp_path))
  outcome = fit(*scripted(values), num_steps=7, log_every=3, writer=writer)
  writer.close()
  first, second, third = read_metrics(tmp_path / 'metrics.jsonl')
  assert outcome.state.skipped == 1
  # (6 + 0 + 1) / (3 + 0 + 1), not the mean of 2, nan and 1.
  assert (first['part'], first['loss'], first['skipped']) == (
      7 / 4, pytest.approx(7 / 3), 0.0)
  # The step with a NaN weighs nothing.
  assert (second['part'], second['loss'], second['skipped']) == (
      9.0, 4.5, pytest.approx(1 / 3))
  assert third['part'] is None and third['loss'] == 0.0


@pytest.mark.parametrize('log_every, given_up', [(1, 20), (8, 24), (50, 50)])
def test_fit_gives_up_where_no_update_is_finite(log_every, given_up):
  values = [(1, 1)] * log_every + [(math.nan, 1)] * 99
  with pytest.raises(RuntimeError, match=(
      f'^fit: no finite update in the {given_up} steps up to '
      f'{log_every + given_up}: lower')):
    fit(*scripted(values), num_steps=100, log_every=log_every)


def test_fit_bears_bad_batches_among_good_ones():
  values = ([(math.nan, 1)] * 19 + [(1, 1)]) * 3
  outcome = fit(*scripted(values), num_steps=60, log_every=1)
  assert outcome.state.skipped == 57


@pytest.mark.parametrize('slow, said', [('batches', 1), ('steps', 0)])
def test_the_share_of_waiting_for_data_is_logged_and_a_large_one_said_once(
    tmp_path, monkeypatch, caplog, slow, said):
  """A sleep of 10 ms in each step is a share of .01 times steps a second."""
  sleep = 0.01
  monkeypatch.setattr(meter, '_NOTICED', 3 * sleep)
  compiled, *rest, batches_from = scripted([(1, 1)] * 16)

  def step(*args):
    if slow == 'steps':
      time.sleep(sleep)
    return compiled.step(*args)

  def slowly(start):
    for batch in batches_from(start):
      if slow == 'batches':
        time.sleep(sleep)
      yield batch

  writer = MetricsWriter(str(tmp_path))
  fit(compiled._replace(step=step), *rest, slowly, num_steps=16, log_every=4,
      writer=writer)
  writer.close()
  # The last of them reads one batch less: one is ahead.
  for record in read_metrics(tmp_path / 'metrics.jsonl')[1:-1]:
    share = sleep * record['steps_per_second']
    waited, other = record['data_share'], 1 - record['data_share']
    assert (waited if slow == 'batches' else other) >= share
    assert 0 <= waited <= 1
  assert caplog.text.count('fit: devices waited for data in') == said


def test_the_time_left_and_the_share_of_hooks_are_told(monkeypatch, caplog):
  monkeypatch.setattr(loop, '_WORTH_SAYING', 0)
  compiled, *rest = scripted([(1, 1)] * 20)
  hook = Hook(5, lambda state, step: time.sleep(.01))
  with caplog.at_level('INFO', 'absl'):
    fit(compiled, *rest, num_steps=20, log_every=10, hooks=[hook])
  told = re.findall(r'step (\d+) of 20: \d+ s left', caplog.text)
  assert told == [str(step) for step in range(4, 20, 2)]
  [share] = re.findall(r'samples, losses and figures took ([\d.e+]+) % of the '
                       'time, checkpoints 0 %', caplog.text)
  assert 0 < float(share) < 100


def test_fit_says_when_batches_end():
  with pytest.raises(RuntimeError, match='^fit: batches ended before step 4'):
    fit(*scripted([(1, 1)] * 3), num_steps=10)


@pytest.mark.parametrize('option', ['num_steps', 'log_every', 'save_every'])
def test_fit_refuses_numbers_below_one(option):
  with pytest.raises(ValueError, match=f'fit: {option} must be positive'):
    fit(*scripted([]), **{'num_steps': 5, option: 0})


def test_fit_closes_its_batches_and_prints_nothing(run, tmp_path, capfd):
  closed = []

  def batches_from(start):
    try:
      while True:
        yield {'x': np.zeros((16, 16), np.float32),
               'index': np.arange(16, dtype=np.int32)}
    finally:
      closed.append(start)

  run(tmp_path, num_steps=8, batches_from=batches_from)
  assert closed == [0]
  assert capfd.readouterr() == ('', '')
