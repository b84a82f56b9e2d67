"""Own images on 1, 2 and 8 devices: the same images, noise and losses."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.diffusion import loss
from genjax.diffusion.process import perturb
from genjax.runs import diffusion
from genjax.runs import keys
from genjax.runs.diffusion_settings import choose
from genjax.runs.diffusion_settings import with_facts
from genjax.runs.prepare import batches_from
from genjax.runs.prepare import first_state
from genjax.runs.prepare import prepare
from genjax.types import Mean

BATCH, STEPS = 8, 3
SEEN = ('pixels', 'noise', 'time')
FAST = [('muon', 'pmap', 8)]
CASES = [(optimizer, *how) for optimizer in ('muon', 'adam') for how in (
    ('jit', 2), ('jit', 8), ('fsdp', 2), ('fsdp', 8), ('pmap', 2), ('pmap', 8))]
DATA = named.Data(ArraySource({'image': np.random.default_rng(0).integers(
    0, 256, (40, 4, 4, 3)).astype(np.uint8)}), None)


def _digest(x):
  """24 bits [B] of all bits of x [B, ...]: of float32, in any order of sums."""
  bits = jax.lax.bitcast_convert_type(x.reshape(len(x), -1), jnp.int32)
  odd = 2 * jnp.arange(bits.shape[1]) + 1
  return jnp.sum(bits * odd * 40503, axis=1) & 0xFFFFFF


def _watched(settings, model, devices):
  """The objective, whose metrics say what each example of the batch was."""
  objective = diffusion.loss(settings, model)

  def loss_fn(params, key, batch, context):
    seen = {}

    def spy(process, x0, eps, t):
      seen.update(pixels=_digest(x0), noise=_digest(eps), time=t)
      return perturb(process, x0, eps, t)

    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(loss, 'perturb', spy)
      value, metrics = objective.loss_fn(params, key, batch, context)
    each = {f'{name} {i}': Mean(jnp.sum(jnp.where(batch['index'] == i, x, 0)),
                                1.0)
            for name, x in seen.items() for i in range(BATCH)}
    return value, {**metrics, **each}

  return objective._replace(loss_fn=loss_fn, devices=devices)


@functools.cache
def trained(optimizer, parallel, devices):
  """What examples of each step were, the rest of its metrics, and the state."""
  settings = with_facts(choose('digits', {
      'data': 'npy:gone', 'network': 'dit', 'width': (8,), 'guidance': 1.0,
      'optimizer': optimizer, 'learning_rate': 0.01, 'warmup': 2, 'steps': 6,
      'batch_size': BATCH, 'parallel': parallel}), DATA)
  model, objective, compiled = prepare(diffusion.TASK._replace(
      loss=functools.partial(_watched, devices=devices)), settings)
  state = compiled.put(first_state(
      keys.key(0, 'init'), settings, model, objective, DATA.train, 0))
  batches = batches_from(settings, objective, DATA.train, 0, 0)
  examples, rest = [], []
  for _ in range(STEPS):
    state, metrics = compiled.step(state, keys.key(0, 'training'),
                                   next(batches))
    totals = {name: float(mean.total) for name, mean in metrics.items()}
    rest.append({name: totals.pop(name) for name in list(totals)
                 if not name.startswith(SEEN)})
    examples.append(totals)
  return examples, rest, compiled.get(state)


@pytest.mark.parametrize('optimizer, parallel, devices', [
    pytest.param(*case, marks=[] if case in FAST else [pytest.mark.slow])
    for case in CASES])
def test_a_run_is_the_same_on_any_number_of_devices(
    optimizer, parallel, devices):
  """Of each example index, pixels, noise and time bit for bit; losses, and
  params by the same learning rates, up to the order of sums of eight."""
  examples, rest, state = trained(optimizer, parallel, devices)
  same_examples, same_rest, same_state = trained(optimizer, 'jit', 1)
  assert len(examples[0]) == BATCH * len(SEEN)
  assert examples == same_examples
  assert examples[0] != examples[1] and len(set(
      examples[0].values())) == len(examples[0])
  chex.assert_trees_all_close(rest, same_rest, rtol=1e-5)
  # Muon's Newton-Schulz steps amplify roundings of small singular values.
  chex.assert_trees_all_close(state.params, same_state.params, atol=1e-5)
  for count, same in zip(jax.tree.leaves(state.opt_state),
                         jax.tree.leaves(same_state.opt_state)):
    assert count.dtype != np.int32 or count == same == STEPS
