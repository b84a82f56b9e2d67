"""Several steps a call are the same run as one a call."""

import contextlib
import itertools

import chex
import jax
import numpy as np
import pytest

from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.logs import read_metrics
from genjax.training.loop import fit
from genjax.training.loop import Hook
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.parallel import pmap_step
from genjax.training.profile import Profile
from genjax.training.state import init_state
from genjax.training.step import joined
from genjax.training.step import make_step
from genjax.training.step import several
from tests.training.test_profile import steps_in

NUM_STEPS, COUNT = 12, 4


def compiled_of(problem, count, how, num_devices, micro_batches=1):
  mesh = make_mesh(num_devices)
  told = dict(averages=problem.averages, micro_batches=micro_batches)
  if how == 'pmap':
    return pmap_step(problem.loss_fn, problem.tx, mesh, steps_per_call=count,
                     **told)
  return compile_step(
      several(make_step(problem.loss_fn, problem.tx, **told), count), mesh,
      fsdp=how == 'fsdp')


def train(problem, compiled, count, num_steps=NUM_STEPS, **told):
  def batches_from(start):
    batches = problem.batches_from(start)
    while True:
      yield joined(list(itertools.islice(batches, count)))

  return fit(compiled, init_state(problem.params, problem.tx, ['ema']),
             problem.key, batches_from, num_steps=num_steps,
             steps_per_call=count, **{'log_every': COUNT, **told})


def logged(folder, *args, **told):
  """The state at the end, and the lines of the log."""
  with contextlib.closing(MetricsWriter(str(folder))) as writer:
    state = train(*args, writer=writer, **told).state
  return state, read_metrics(folder / 'metrics.jsonl')


@pytest.mark.parametrize('how, num_devices, micro_batches, backend', [
    ('jit', 1, 1, 'cpu'), ('jit', 1, 2, 'gpu'), ('fsdp', 8, 1, 'gpu'),
    ('pmap', 8, 1, 'gpu')])
def test_several_steps_a_call_are_the_same_run(
    problem, tmp_path, monkeypatch, how, num_devices, micro_batches, backend):
  """In a loop of python as on a CPU, or a scan: up to the rounding of sums."""
  plain, lines = logged(tmp_path / 'one', problem,
                        compiled_of(problem, 1, 'jit', 1), 1)
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  state, found = logged(
      tmp_path / 'more', problem,
      compiled_of(problem, COUNT, how, num_devices, micro_batches), COUNT)
  chex.assert_trees_all_close(state, plain, rtol=1e-4, atol=1e-6)
  assert [line['step'] for line in found] == [4, 8, 12]
  for line, wanted in zip(found, lines):
    for name in ('loss', 'grad_norm', 'far', 'noise', 'skipped'):
      assert line[name] == pytest.approx(wanted[name], rel=1e-4, abs=1e-6)
    assert line['examples_per_second'] == pytest.approx(
        16 * line['steps_per_second'])


def test_a_run_stopped_between_calls_is_the_unbroken_one(problem, tmp_path):
  """Bit for bit; hooks and profiles see the ends of calls."""
  compiled, seen = compiled_of(problem, COUNT, 'jit', 1), []
  hook = Hook(2 * COUNT, lambda state, step: seen.append(
      (step, int(state.step))))
  unbroken = train(problem, compiled, COUNT).state
  for num_steps in (COUNT, NUM_STEPS):
    with contextlib.closing(Checkpointer(tmp_path)) as checkpointer:
      outcome = train(problem, compiled, COUNT, num_steps, hooks=[hook],
                      save_every=COUNT, checkpointer=checkpointer,
                      profile=Profile(range(6, 8), str(tmp_path)))
  chex.assert_trees_all_equal(outcome.state, unbroken)
  assert seen == [(4, 4), (8, 8), (12, 12)]
  assert steps_in(tmp_path) == [[8]]
  with contextlib.closing(Checkpointer(tmp_path)) as checkpointer:
    with pytest.raises(ValueError, match='^steps_per_call: must divide the '
                       'steps of its checkpoint, 12, got 5$'):
      train(problem, compiled, 5, 15, save_every=5, log_every=5,
            checkpointer=checkpointer)


@pytest.mark.parametrize('told, said', [
    ({'num_steps': 10}, 'steps 10'), ({'save_every': 6}, 'save_every 6'),
    ({'checkpointer': Checkpointer('none', every=6)}, 'keep_every 6'),
    ({'hooks': [Hook(2, print)]}, 'those between two calls of a hook, 2')])
def test_calls_that_numbers_of_steps_cut_through_are_refused(
    problem, told, said):
  with pytest.raises(ValueError, match=f'must divide {said}, got 4$'):
    train(problem, None, COUNT, **{'save_every': COUNT, **told})


def test_each_part_of_what_is_joined_has_a_share_on_every_device():
  batches = [{'x': np.arange(6).reshape(3, 2) + 10 * j} for j in range(2)]
  np.testing.assert_array_equal(
      joined(batches)['x'], [[0, 1], [10, 11], [2, 3], [12, 13], [4, 5],
                             [14, 15]])
