"""Programs for a machine that is not there: by a topology of what is there."""

import types

import jax
from jax.experimental import topologies
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax import machine
from genjax.networks import blocks
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state
from genjax.training.step import make_step


@pytest.fixture
def slice_of_four(monkeypatch):
  """The name of one, as if TPU's compiler were installed."""

  def described(name, platform):
    if (name, platform) != ('v5e:2x2', 'tpu'):
      raise RuntimeError(f'no {name}')
    return types.SimpleNamespace(devices=jax.devices()[:4])

  monkeypatch.setattr(topologies, 'get_topology_desc', described)
  return 'v5e:2x2'


def test_devices_are_those_at_hand():
  assert machine.devices() == jax.devices() and machine.is_at_hand()
  assert machine.platform() == 'cpu' and blocks.is_unrolled()


def test_programs_are_made_for_the_slice_from_shapes_alone(slice_of_four):
  tx = optax.sgd(0.1)
  step = make_step(lambda p, key, batch, context: (
      jnp.mean((batch['x'] @ p) ** 2), {}), tx, averages={})
  state = jax.eval_shape(lambda: init_state(jnp.zeros((8, 8)), tx))
  with machine.described(slice_of_four):
    assert machine.devices() == jax.devices()[:4] and not machine.is_at_hand()
    mesh = make_mesh()
    program = compile_step(step, mesh, fsdp=True).program(
        state, jax.random.key(0), {'x': np.zeros((8, 8), np.float32)})
  assert mesh.size == 4
  layouts = program.executable.input_shardings[0]
  assert layouts[0].params.shard_shape((8, 8)) == (2, 8)
  assert layouts[2]['x'].shard_shape((8, 8)) == (2, 8)


def test_the_slice_is_forgotten_whatever_happens(slice_of_four):
  with pytest.raises(ZeroDivisionError):
    with machine.described(slice_of_four):
      raise ZeroDivisionError
  assert machine.devices() == jax.devices() and machine.is_at_hand()


def test_a_slice_that_is_none_is_refused(slice_of_four):
  with pytest.raises(ValueError, match='topology: must be a TPU slice such as '
                     "v5e:4x4, got 'v9:2x2'"):
    with machine.described('v9:2x2'):
      pass


def test_a_compiler_that_is_not_installed_is_named(monkeypatch):
  def absent(name, platform):
    raise RuntimeError('JAX TPU support not installed')

  monkeypatch.setattr(topologies, 'get_topology_desc', absent)
  with pytest.raises(ValueError, match='python -m pip install libtpu'):
    with machine.described('v5e:2x2'):
      pass
