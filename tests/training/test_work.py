"""What a step computes, told by XLA, against products counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.training import work
from genjax.training.meter import Meter
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.parallel import pmap_step
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.step import several
from genjax.types import Mean

B, D, TIMES = 512, 32, 3
# Beside products a step does something to each number of the activations and,
# on each device, of the params: less than 40 operations.
BESIDE = 40


def loss_of(loop):
  """The mean square of x w^3, its products in a loop of one kind."""

  def loss_fn(params, key, batch, context):
    del key, context
    if loop == 'scan':
      x, _ = jax.lax.scan(lambda x, _: (x @ params, None), batch['x'],
                          length=TIMES)
    else:
      x = batch['x']
      for _ in range(TIMES):
        x = x @ params
    return jnp.mean(x ** 2), {}

  return loss_fn


def flop_of(loop, devices=1, how='jit', micro_batches=1, dtype='float32',
            steps=1):
  """The `Work` of a step."""
  tx, mesh = optax.sgd(0.1), make_mesh(devices)
  told = dict(averages={}, micro_batches=micro_batches)
  if how == 'pmap':
    compiled = pmap_step(loss_of(loop), tx, mesh, **told)
  else:
    step = several(make_step(loss_of(loop), tx, **told), steps)
    compiled = compile_step(step, mesh, fsdp=how == 'fsdp')
  program = compiled.program(
      init_state(np.eye(D, dtype=np.float32), tx), jax.random.key(0),
      {'x': np.ones((steps * B, D), np.float32)})
  return work.work_of(program, devices, dtype, steps)


@pytest.mark.parametrize('loop, devices, how, micro_batches', [
    ('python', 1, 'jit', 1), ('scan', 1, 'jit', 1), ('python', 1, 'jit', 4),
    ('scan', 1, 'jit', 4), ('python', 8, 'jit', 1), ('scan', 8, 'fsdp', 1),
    ('scan', 8, 'pmap', 2)])
def test_a_step_is_the_products_of_its_loss(
    loop, devices, how, micro_batches, monkeypatch):
  """Of each there are three: forwards, for the input and for the weights.

  The first has none for the input. However it is laid out, that is the work;
  gradients of micro-batches are added in a scan, as on an accelerator.
  """
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  product = 2 * B * D * D
  least = (3 * TIMES - 1) * product
  # A scan takes the gradient for the input of the first, too.
  most = 3 * TIMES * product if loop == 'scan' else least
  beside = BESIDE * TIMES * (B * D + devices * micro_batches * D * D)
  found = flop_of(loop, devices, how, micro_batches).flop
  assert least <= found <= most + beside


@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_work_is_of_one_step_though_several_are_taken(backend, monkeypatch):
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  one, more = (flop_of('python', steps=steps).flop for steps in (1, 4))
  assert abs(more - one) < BESIDE * TIMES * D * D


def test_the_peak_is_that_of_all_devices_in_the_dtype(monkeypatch):
  assert flop_of('python').peak is None  # of a CPU none is published
  kind = jax.devices()[0].device_kind
  monkeypatch.setattr(work, 'PEAKS', {kind: {'float32': 2e9}})
  assert flop_of('python', devices=8).peak == 1.6e10
  assert flop_of('python', dtype='bfloat16').peak is None


def test_a_compiler_that_tells_nothing_is_believed():
  class Silent:

    def cost_analysis(self):
      return None

  assert work.work_of(work.Program(Silent(), None), 1, 'float32') is None


@pytest.mark.parametrize('f, copies, flop', [
    (lambda x: x @ x, 1, 2 * D**3), (lambda x: x @ x, 8, 16 * D**3),
    (lambda x: x + x, 1, 8.0)])
def test_products_that_a_compiler_leaves_out_are_counted(f, copies, flop):
  class Sparing:

    def cost_analysis(self):
      return {'flops': 1.0}

  jaxpr = jax.make_jaxpr(f)(np.ones((D, D))).jaxpr
  found = work.work_of(work.Program(Sparing(), jaxpr, copies), 8, 'float32')
  assert found.flop == flop


@pytest.mark.parametrize('kind', work.PEAKS)
def test_peaks_are_of_dense_products(kind):
  """A narrower type is up to twice as fast, but for their rounding."""
  peaks = work.PEAKS[kind]
  wide, narrow = peaks['float32'], peaks.get('bfloat16', peaks['float32'])
  assert 1e13 < wide <= narrow <= 2.02 * wide < 1e16


def test_utilisation_is_the_share_of_the_peak():
  meter = Meter(5, work.Work(flop=3e9, peak=1e12))
  for _ in range(4):
    meter.add({name: Mean(jnp.ones(()), jnp.ones(()))
               for name in ('loss', 'skipped')}, {'x': np.zeros((16, 3))})
  told = meter.read(9)
  rate = told['steps_per_second']
  assert told['examples_per_second'] == pytest.approx(16 * rate)
  assert told['flop_per_step'] == 3e9
  assert told['flop_per_second'] == pytest.approx(3e9 * rate)
  assert told['utilisation'] == pytest.approx(3e-3 * rate)
