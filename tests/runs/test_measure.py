"""The memory that a step takes is known, and told, before the first one."""

import functools
import os
import re

import jax
import pytest

from genjax.runs import diffusion
from genjax.runs import measure
from genjax.runs.diffusion_choice import resolve
from genjax.runs.fit import fit_run
from genjax.training import leaves

CHOSEN = {'data': 'toy:moons,points=64', 'width': (64,), 'depth': 2,
          'steps': 1}


def _resolved(batch_size):
  return resolve('toy', {**CHOSEN, 'batch_size': batch_size})[:2]


@functools.cache
def _needed(batch_size):
  """Bytes that a step takes on a device."""
  settings, data = _resolved(batch_size)
  return measure.measure(diffusion.TASK, settings, data.train).memory


def test_a_step_needs_its_state_and_activations_in_proportion_to_the_batch():
  size = 1024 * jax.device_count()
  one, two, four = (_needed(n * size) for n in (1, 2, 4))
  assert four - two == pytest.approx(2 * (two - one), rel=.2)
  settings, _ = _resolved(size)
  shapes = jax.eval_shape(lambda key: diffusion.build(settings).init(key, None),
                          jax.random.key(0))
  params = sum(4 * x.size for x in leaves.by_path(shapes).values())
  # Params, their average and two moments: the state is handed on in place, so
  # that what a step returns takes no more. Gradients and updates come and go.
  assert 4 * params < 2 * one - two < 7 * params


def test_a_step_that_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, monkeypatch):
  """The message names a batch that fits; a sixteenth more would not."""
  devices = jax.device_count()
  limit = _needed(2048 * devices)
  size = 4096 * devices
  with monkeypatch.context() as patched:
    patched.setattr(measure, 'room', lambda: limit)
    with pytest.raises(ValueError, match=(
        rf'^batch_size: must be at most \d+ here, got {size}: a step of it '
        r'needs .* GiB where there are .*; micro_batches lower that too$'
        )) as error:
      fit_run(diffusion.TASK, *_resolved(size), str(tmp_path / 'run'))
    patched.setattr(measure, 'room', lambda: 1)
    with pytest.raises(ValueError, match=(
        'batch_size: is too large, and so is any: the network must be')):
      fit_run(diffusion.TASK, *_resolved(devices), str(tmp_path / 'run'))
  assert not os.path.exists(tmp_path / 'run' / 'settings.json')
  [said] = re.findall(r'at most (\d+)', str(error.value))
  said = int(said)
  assert said % devices == 0 and _needed(said) <= limit
  assert _needed(said + said // 16 // devices * devices) > limit


def test_a_machine_has_more_memory_than_this_test_takes():
  assert 2**28 < measure.room() < 2**60
