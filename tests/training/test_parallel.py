import logging

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.training.averages import ema
from genjax.training.parallel import compile_step
from genjax.training.parallel import local_rows
from genjax.training.parallel import make_mesh
from genjax.training.parallel import on_every_device
from genjax.training.parallel import pmap_step
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.types import Context

NUM_STEPS = 6


def by_jit(loss_fn, tx, mesh, *, averages, fsdp=False):
  step = make_step(loss_fn, tx, averages=averages)
  return compile_step(step, mesh, fsdp=fsdp)


def by_fsdp(loss_fn, tx, mesh, *, averages):
  return by_jit(loss_fn, tx, mesh, averages=averages, fsdp=True)


def by_tensor(loss_fn, tx, mesh, *, averages, fsdp=False):
  """Columns of w over four devices, as its biases."""
  return compile_step(
      make_step(loss_fn, tx, averages=averages), make_mesh(mesh.size, 4),
      fsdp=fsdp, partition=lambda path, shape: (
          (False, True) if "['w']" in path else (True,)))


def by_both(loss_fn, tx, mesh, *, averages):
  return by_tensor(loss_fn, tx, mesh, averages=averages, fsdp=True)


COMPILATIONS = {
    'jit-8': (by_jit, 8),
    'fsdp-8': (by_fsdp, 8),
    'tensor-8': (by_tensor, 8),
    'fsdp-tensor-8': (by_both, 8),
    'pmap-8': (pmap_step, 8),
    'pmap-1': (pmap_step, 1),
}


def train(problem, make, num_devices):
  """State and metrics of a few steps."""
  compiled = make(problem.loss_fn, problem.tx, make_mesh(num_devices),
                  averages=problem.averages)
  state = compiled.put(init_state(problem.params, problem.tx, ['ema']))
  batches = problem.batches_from(0)
  metrics = []
  for _ in range(NUM_STEPS):
    state, step_metrics = compiled.step(state, problem.key, next(batches))
    metrics.append(jax.device_get(step_metrics))
  return compiled.get(state), metrics


@pytest.fixture(scope='module')
def one_device(problem):
  return train(problem, by_jit, 1)


def test_first_metrics_are_those_of_the_eager_loss(problem, one_device):
  loss, metrics = problem.loss_fn(
      problem.params, jax.random.fold_in(problem.key, 0),
      next(problem.batches_from(0)), Context())
  first = one_device[1][0]
  np.testing.assert_allclose(first['loss'].total, loss, rtol=1e-5)
  chex.assert_trees_all_close(first['far'], metrics['far'], rtol=1e-5)


@pytest.mark.parametrize('name', COMPILATIONS)
def test_every_compilation_is_the_same_run(problem, one_device, name):
  make, num_devices = COMPILATIONS[name]
  state, metrics = train(problem, make, num_devices)
  # Only the order of sums over 16 examples differs. Noise that depended on
  # the device would show in the first digit; totals and counts of means are
  # those of the whole batch, not of a shard.
  chex.assert_trees_all_close(metrics, one_device[1], rtol=1e-5, atol=1e-7)
  chex.assert_trees_all_close(state, one_device[0], rtol=1e-4, atol=1e-6)
  if num_devices == 1:
    chex.assert_trees_all_equal((state, metrics), one_device)


@pytest.mark.parametrize('name', COMPILATIONS)
def test_a_program_is_the_step_compiled(problem, name, caplog):
  """Under jit its first call finds it so; pmap compiles again."""
  make, num_devices = COMPILATIONS[name]
  compiled = make(problem.loss_fn, problem.tx, make_mesh(num_devices),
                  averages=problem.averages)
  state = init_state(problem.params, problem.tx, ['ema'])
  batch = next(problem.batches_from(0))
  with jax.log_compiles(), caplog.at_level(logging.WARNING, 'jax'):
    program = compiled.program(state, problem.key, batch)
    assert 'XLA compilation' in caplog.text
    placed = compiled.put(state)
    caplog.clear()
    compiled.step(placed, problem.key, batch)
  assert 'pmap' in name or 'XLA compilation' not in caplog.text
  size = sum(x.nbytes for x in jax.tree.leaves(state))
  shares = num_devices if 'jit' not in name else 1
  needed = program.executable.memory_analysis().argument_size_in_bytes
  assert needed > size / shares


@pytest.mark.parametrize('make', [by_jit, pmap_step])
def test_one_bad_shard_skips_the_update_on_every_device(make):
  tx = optax.sgd(0.1)

  def loss_fn(params, key, batch, context):
    return jnp.mean(params['w'] * batch['x']), {'seen': jnp.mean(batch['x'])}

  compiled = make(loss_fn, tx, make_mesh(8), averages={'ema': ema(0.5)})
  start = init_state({'w': jnp.ones(())}, tx, ['ema'])
  x = np.ones(8, np.float32)
  x[5] = np.nan
  state, metrics = compiled.step(
      compiled.put(start), jax.random.key(0), {'x': x})
  chex.assert_trees_all_equal(
      compiled.get(state),
      start._replace(step=np.int32(1), skipped=np.int32(1)))
  assert metrics['loss'].count == metrics['seen'].count == 0.0
  assert metrics['seen'].total == 0.0


@pytest.mark.parametrize('name', COMPILATIONS)
def test_compiled_copies_in_donates_and_copies_out(problem, name):
  make, num_devices = COMPILATIONS[name]
  traces = []

  def loss_fn(params, key, batch, context):
    traces.append(1)
    return problem.loss_fn(params, key, batch, context)

  tx = optax.sgd(0.1, momentum=0.9)
  compiled = make(loss_fn, tx, make_mesh(num_devices),
                  averages={'ema': ema(0.9)})
  start = init_state(problem.params, tx, ['ema'])
  before = jax.tree.map(np.array, start)
  state = compiled.put(start)
  batches = problem.batches_from(0)
  for _ in range(3):
    given, out = state, compiled.get(state)
    kept = jax.tree.map(np.array, out)
    state, _ = compiled.step(state, problem.key, next(batches))
    assert all(x.is_deleted() for x in jax.tree.leaves(given))
    chex.assert_trees_all_equal(out, kept)
  # The layout that the step returns is the one it takes: one compilation.
  assert len(traces) == 1
  chex.assert_trees_all_equal(start, before)


@pytest.mark.parametrize('make, wanted', [
    (by_fsdp, {(2, 8), (1,)}),  # w [16, 8] along its larger axis, b [8]
    (by_tensor, {(16, 2), (2,)}),
    (by_both, {(8, 2), (2,)})])
def test_the_state_is_split(problem, make, wanted):
  tx = optax.sgd(0.1, momentum=0.9)
  compiled = make(problem.loss_fn, tx, make_mesh(8),
                  averages={'ema': ema(0.9)})
  state = compiled.put(init_state(problem.params, tx, ['ema']))
  for _ in range(2):
    shapes = {x.addressable_shards[0].data.shape
              for tree in (state.params, state.averages, state.opt_state)
              for x in jax.tree.leaves(tree)}
    assert shapes == wanted
    state, _ = compiled.step(state, problem.key, next(problem.batches_from(0)))


@pytest.mark.parametrize('make', [by_jit, pmap_step])
@pytest.mark.parametrize('size', [0, 4, 12])
def test_compiled_refuses_a_batch_that_devices_do_not_divide(
    problem, make, size):
  compiled = make(problem.loss_fn, problem.tx, make_mesh(8),
                  averages={'ema': ema(0.9)})
  batch = {'x': np.zeros((size, 16), np.float32),
           'index': np.arange(size, dtype=np.int32)}
  state = compiled.put(init_state(problem.params, problem.tx, ['ema']))
  with pytest.raises(ValueError, match=f'the 8 devices, got {size}'):
    compiled.step(state, problem.key, batch)


@pytest.mark.parametrize('num_devices', [0, -1, 9])
def test_make_mesh_refuses_devices_that_are_not_there(num_devices):
  with pytest.raises(ValueError, match=r'num_devices must be in \[1, 8\]'):
    make_mesh(num_devices)


def test_make_mesh_takes_the_first_devices_or_all():
  assert list(make_mesh(3).devices.flat) == jax.devices()[:3]
  assert make_mesh().axis_names == ('data', 'model')
  assert make_mesh().devices.shape == (8, 1)
  assert make_mesh(6, 2).devices.shape == (3, 2)


@pytest.mark.parametrize('model', [0, 3, 16])
def test_make_mesh_refuses_what_does_not_divide_the_devices(model):
  with pytest.raises(ValueError, match='make_mesh: model must'):
    make_mesh(8, model)


def test_pmap_splits_nothing_but_the_batch(problem):
  with pytest.raises(ValueError, match="'model' of mesh must be of size 1"):
    pmap_step(problem.loss_fn, problem.tx, make_mesh(8, 2), averages={})


def test_one_process_holds_all_rows():
  for mesh in (make_mesh(1), make_mesh(8), make_mesh(8, 4)):
    np.testing.assert_array_equal(local_rows(mesh, 16), np.arange(16))
  with pytest.raises(ValueError, match='a multiple of the 8 devices, got 12'):
    local_rows(make_mesh(8), 12)


@pytest.mark.parametrize('size', [1, 5, 8, 20])
def test_every_device_has_its_share_of_examples(size):
  """Also of those that the devices do not divide; in any axis of the result."""
  x = np.arange(2.0 * size, dtype=np.float32).reshape(size, 2)

  @jax.jit
  def function(params, key, examples):
    del key
    x, index = examples
    return params * x + index[:, None]

  wanted = 3 * x + np.arange(size)[:, None]
  found = on_every_device(function)(3.0, None, (x, np.arange(size)))
  assert size % 8 or len(found.sharding.device_set) == 8
  np.testing.assert_array_equal(found, wanted)
  stacked = on_every_device(
      lambda *args: jnp.stack([function(*args)] * 2), axis=1)
  np.testing.assert_array_equal(
      stacked(3.0, None, (x, np.arange(size))), [wanted] * 2)
  traced = jax.jit(lambda x: on_every_device(function)(
      3.0, None, (x, jnp.arange(size))))
  np.testing.assert_array_equal(traced(x), wanted)
