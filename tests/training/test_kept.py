"""Checkpoints that stay for ever, and states that move between meshes."""

import contextlib

import chex
import jax
import numpy as np
import optax
import pytest

from genjax.training.checkpoint import Checkpointer
from genjax.training.loop import fit
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step

SMALL = jax.tree.map(np.array, init_state(np.zeros(2), optax.sgd(0.1)))


@pytest.mark.parametrize('every, kept, then', [
    (0, [1, 6, 7], [1, 8]), (3, [1, 3, 6, 7], [1, 3, 6, 8]),
    (2, [1, 2, 4, 6, 7], [1, 6, 8]), (1, list(range(1, 8)), [1, 3, 6, 8])])
def test_multiples_stay_beside_the_latest_and_the_best(
    tmp_path, every, kept, then):
  """Under another number those of it stay, of what is there still."""
  with contextlib.closing(Checkpointer(tmp_path, every=every)) as checkpointer:
    for step in range(1, 8):
      checkpointer.save(step, SMALL, float(step))
    checkpointer.wait()
    assert checkpointer.steps() == kept
  with contextlib.closing(Checkpointer(
      tmp_path, every=3 * (every > 0), keep=1)) as checkpointer:
    checkpointer.save(8, SMALL, 8.0)
    checkpointer.wait()
    assert checkpointer.steps() == then


@pytest.fixture(name='compile_on', scope='module')
def _compile_on(problem):
  """The step on so many devices, replicated or split."""
  step = make_step(problem.loss_fn, problem.tx, averages=problem.averages)
  return lambda num_devices, fsdp=True: compile_step(
      step, make_mesh(num_devices), fsdp=fsdp)


@pytest.fixture(name='run', scope='module')
def _run(problem, compile_on):
  """run(folder, num_steps, ...): goes on there; the state at its end."""
  def run(folder, num_steps, compiled=compile_on(1), every=0):
    with contextlib.closing(Checkpointer(folder, every=every)) as checkpointer:
      outcome = fit(
          compiled, init_state(problem.params, problem.tx, ['ema']),
          problem.key, problem.batches_from, num_steps=num_steps, save_every=6,
          checkpointer=checkpointer)
      checkpointer.wait()
      return outcome.state, checkpointer.steps()
  return run


def test_what_is_kept_is_saved_and_is_the_run_at_its_step(
    problem, run, tmp_path):
  """Wherever it was stopped, and though it is no multiple of `save_every`."""
  run(tmp_path / 'a', 10, every=4)
  state, steps = run(tmp_path / 'a', 13, every=4)
  assert steps == [4, 8, 12, 13]
  assert run(tmp_path / 'b', 4)[1] == [4]
  plain, steps = run(tmp_path / 'b', 13)
  assert steps == [12, 13]
  chex.assert_trees_all_equal(state, plain)
  target = jax.eval_shape(lambda: state)
  with (contextlib.closing(Checkpointer(tmp_path / 'a')) as a,
        contextlib.closing(Checkpointer(tmp_path / 'c')) as c):
    kept, step = a.restore(target, 4)
    run(tmp_path / 'c', 4)
    assert step == 4
    chex.assert_trees_all_equal(kept, c.restore(target)[0])


def test_a_state_moves_between_meshes_bit_for_bit(
    problem, compile_on, tmp_path):
  """Split over eight devices, whole on one, split over two, and back."""
  first = init_state(problem.params, problem.tx, ['ema'])
  compiled = compile_on(8)
  state, _ = compiled.step(compiled.put(first), problem.key,
                           next(problem.batches_from(0)))
  expected = state = compiled.get(state)
  target = jax.eval_shape(lambda: first)
  layouts = [(8, True), (1, False), (2, True), (2, False), (8, True)]
  with contextlib.closing(Checkpointer(tmp_path)) as checkpointer:
    for step, layout in enumerate(layouts, 1):
      compiled = compile_on(*layout)
      placed = compiled.put(state)
      assert len(placed.params['w'].sharding.device_set) == layout[0]
      whole = placed.params['w'].addressable_shards[0].data.size == 16 * 8
      assert whole != layout[1]
      checkpointer.save(step, compiled.get(placed))
      checkpointer.wait()
      state, found = checkpointer.restore(target)
      assert found == step
      chex.assert_trees_all_equal(state, expected)


def test_a_run_moves_between_meshes(problem, run, compile_on, tmp_path):
  """Up to the order of sums it is the run of one device."""
  unbroken, _ = run(tmp_path / 'one', 8)
  for num_steps, layout in ((3, (8, True)), (5, (1, False)), (8, (2, True))):
    state, _ = run(tmp_path / 'moved', num_steps, compile_on(*layout))
  assert state.step == 8
  chex.assert_trees_all_close(state, unbroken, rtol=1e-4, atol=1e-6)
