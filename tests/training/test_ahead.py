"""Batches are on their way one step early, and it is the same run."""

import chex
import jax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import pytest

from genjax.training.ahead import Ahead
from genjax.training.loop import fit
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step

NUM_STEPS = 5


def broken(number, error):
  """1, 2, ... up to `number`, where an error is raised once."""
  for i in range(1, number):
    yield i
  raise error


@pytest.mark.parametrize('number', [1, 2, 3, 7])
@pytest.mark.parametrize('error', [OSError('broken'), ValueError('broken')])
def test_what_is_read_ahead_comes_in_order_and_errors_in_their_place(
    number, error):
  ahead = Ahead(broken(number, error).__next__, number)
  assert [ahead.next() for _ in range(number - 1)] == list(range(1, number))
  with pytest.raises(type(error), match='^broken$'):
    ahead.next()


def test_one_is_read_ahead_and_no_more():
  read: list[int] = []

  def append():
    read.append(len(read))
    return read[-1]

  ahead = Ahead(append, 5)
  for i in range(5):
    assert ahead.next() == i and len(read) == min(i + 2, 5)


@pytest.mark.parametrize('num_devices', [1, 8])
def test_a_batch_is_placed_before_the_step_before_it_begins(
    problem, num_devices):
  """As on an accelerator; and the run is that of batches left on the host."""
  mesh = make_mesh(num_devices)
  compiled = compile_step(
      make_step(problem.loss_fn, problem.tx, averages=problem.averages), mesh)
  sharding = NamedSharding(mesh, PartitionSpec('data'))
  events = []

  def place(batch):
    events.append('place')
    return jax.device_put(batch, sharding)

  def step(state, key, batch):
    events.append('step')
    assert all(x.sharding == sharding for x in jax.tree.leaves(batch))
    return compiled.step(state, key, batch)

  def train(compiled):
    return fit(compiled, init_state(problem.params, problem.tx, ['ema']),
               problem.key, problem.batches_from, num_steps=NUM_STEPS).state

  placed = train(compiled._replace(place=place, step=step))
  assert events == ['place', *['place', 'step'] * (NUM_STEPS - 1), 'step']
  chex.assert_trees_all_equal(placed, train(compiled))


def test_on_a_cpu_a_batch_stays_where_it_is(problem):
  """There jit takes it from the host in less time."""
  compiled = compile_step(
      make_step(problem.loss_fn, problem.tx, averages=problem.averages),
      make_mesh(8))
  batch = next(problem.batches_from(0))
  assert compiled.place(batch)['x'] is batch['x']
  with pytest.raises(ValueError, match='the 8 devices, got 12'):
    compiled.place({'x': np.zeros((12, 16), np.float32)})
