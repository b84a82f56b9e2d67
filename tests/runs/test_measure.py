"""The memory that a step takes is known, and told, before the first one."""

import dataclasses
import functools
import os
import types

import jax
import pytest

from genjax.runs import diffusion
from genjax.runs import fit
from genjax.runs import measure
from genjax.runs.diffusion_choice import resolve
from genjax.runs.fit import fit_run
from genjax.runs.open import weight_shapes
from genjax.runs.prepare import first_state
from genjax.runs.prepare import prepare
from genjax.training import leaves
from genjax.training import parallel
from genjax.training.work import Program

CHOSEN = {'data': 'toy:moons,points=64', 'width': (64,), 'depth': 2,
          'steps': 1}


# One device: what several do is tested in tests/training.
ONE = diffusion.TASK._replace(loss=lambda settings, model: diffusion.TASK.loss(
    settings, model)._replace(devices=1))


def _resolved(batch_size):
  return resolve('toy', {**CHOSEN, 'batch_size': batch_size})[:2]


@functools.cache
def _needed(batch_size):
  """Bytes that a step takes."""
  settings, data = _resolved(batch_size)
  model, objective, compiled = prepare(ONE, settings)
  key = jax.random.key(0)
  state = first_state(key, settings, model, objective, data.train, 0)
  return measure.check_memory(compiled, state, key, settings, objective,
                              data.train)[0]


def test_a_step_needs_its_state_and_activations_in_proportion_to_the_batch():
  size = 1024
  one, two, four = (_needed(n * size) for n in (1, 2, 4))
  assert four - two == pytest.approx(2 * (two - one), rel=.2)
  settings, _ = _resolved(size)
  shapes = jax.eval_shape(lambda key: diffusion.build(settings).init(key, None),
                          jax.random.key(0))
  params = sum(4 * x.size for x in leaves.by_path(shapes).values())
  # Params, their average and two moments: the state is handed on in place, so
  # that what a step returns takes no more. Gradients and updates come and go.
  assert 4 * params < 2 * one - two < 7 * params


@pytest.mark.parametrize('fixed, each, parts, fits', [
    (0, 10, 1, 100), (500, 10, 1, 50), (500, 10, 8, 48),
    (999, 1, 1, 1), (1000, 1, 1, 0), (900, 50, 4, 0)])
def test_the_largest_batch_that_fits_is_named(
    monkeypatch, fixed, each, parts, fits):
  """Of a step that takes `fixed` bytes and `each` an example, of 1,000."""
  settings, data = _resolved(256)
  objective = ONE.loss(settings, ONE.build(settings))

  def program(state, key, batch):
    size = len(batch['x'])
    return Program(types.SimpleNamespace(
        cost_analysis=dict, memory_analysis=lambda: types.SimpleNamespace(
            argument_size_in_bytes=7, output_size_in_bytes=5,
            alias_size_in_bytes=5, temp_size_in_bytes=fixed - 7 + each * size)
    ), None)

  monkeypatch.setattr(measure, 'room', lambda: 1000)
  compiled = parallel.Compiled(None, None, None, None, program)
  said = (f'must be at most {fits} here' if fits
          else 'is too large, and so is any: the network must be smaller')
  with pytest.raises(ValueError, match=rf'^batch_size: {said}, got 256: a step '
                     r'of it needs .* GiB where there are [0-9.e-]+$'):
    measure.check_memory(
        compiled, None, None,
        dataclasses.replace(settings, micro_batches=parts), objective,
        data.train)


def _least(monkeypatch, batch_size, **values):
  """`least_memory` of a batch, however small it is."""
  settings, data = _resolved(batch_size)
  settings = dataclasses.replace(settings, **values)
  model = ONE.build(settings)
  monkeypatch.setattr(measure, '_SMALL', 2**60)
  return measure.least_memory(settings, model, ONE.loss(settings, model),
                              data.train)


def test_a_step_needs_what_is_told_before_it_is_compiled(monkeypatch):
  """No less; and of what is told a known share is the two dense layers'."""
  one, two = (_least(monkeypatch, n * 1024) for n in (1, 2))
  assert two - one == one  # nothing but what is in proportion to the batch
  assert two / 20 < one <= _needed(1024) and two <= _needed(2048)
  # The data are 2 coordinates, a label and an index; the layers that see every
  # example give out 64 and more numbers, of which half count.
  rows = 4 * 1024
  assert one - rows * 4 >= rows * 64 * 2 / 2
  assert _least(monkeypatch, 1024, micro_batches=4) == one


def test_micro_batches_save_memory_where_they_are_a_loop(monkeypatch):
  """And are advised there alone."""
  data = 4 * 4 * 1024
  one = _least(monkeypatch, 1024)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  parts = _least(monkeypatch, 1024, micro_batches=4)
  assert parts - data == (one - data) / 4
  settings, source = _resolved(2)
  model = ONE.build(settings)
  held = measure.state_memory(settings, model, ONE.loss(settings, model))
  monkeypatch.setattr(measure, 'room', lambda: held + 1)
  with pytest.raises(ValueError, match='; micro_batches lower that too$'):
    measure.check_batch(settings, model, ONE.loss(settings, model),
                        source.train)


def test_a_batch_that_cannot_fit_is_refused_before_anything_is_compiled(
    tmp_path, monkeypatch):
  """In the words of what is measured; one that may fit is not refused."""
  settings, data = _resolved(2**20)
  monkeypatch.setattr(fit, 'first_state', None)
  model = ONE.build(settings)
  held = measure.state_memory(settings, model, ONE.loss(settings, model))
  there = held + _least(monkeypatch, 2**20) // 4
  monkeypatch.setattr(measure, 'room', lambda: there)
  with pytest.raises(ValueError, match=r'^batch_size: must be at most 26214\d '
                     r'here, or less, got 1048576: a step of it needs .* GiB '
                     r'or more where there are [0-9.e-]+$'):
    fit_run(ONE, settings, data, str(tmp_path / 'run'))
  assert not os.path.exists(tmp_path / 'run' / 'settings.json')
  with pytest.raises(ValueError, match='^batch_size: must be at most 26214'):
    measure.measure(ONE, settings, data.train)
  fits, _ = _resolved(2**18)
  model = ONE.build(fits)
  measure.check_batch(fits, model, ONE.loss(fits, model), data.train)


@pytest.mark.parametrize('how, copies', [
    ({}, 9), ({'optimizer': 'muon'}, None), ({'ema_widths': (0.05,)}, 11),
    ({'parallel': 'fsdp'}, 9)])
def test_a_network_that_cannot_fit_is_refused(monkeypatch, how, copies):
  """On a CPU two states of parameters, average and two moments, a gradient."""
  settings, data = _resolved(8)
  settings = dataclasses.replace(settings, **how)
  model = ONE.build(settings)
  objective = ONE.loss(settings, model)
  held = measure.state_memory(settings, model, objective)
  params = sum(x.size * 4 for x in jax.tree.leaves(
      weight_shapes(settings, model)['params']))
  assert params > 10_000
  if copies is None:  # of matrices one moment
    assert 7 * params <= held < 9 * params
  else:
    assert 0 <= held - copies * params < 100  # and the optimizer's counts
  monkeypatch.setattr(measure, 'room', lambda: held - 1)
  with pytest.raises(ValueError, match='^batch_size: is too large, and so is '
                     'any: the network must be smaller, got 8: parameters'):
    measure.check_batch(settings, model, objective, data.train)


def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, monkeypatch):
  there = _needed(1) - 1  # which only the compiler knows
  monkeypatch.setattr(fit, 'check_batch', lambda *args: None)
  monkeypatch.setattr(measure, 'room', lambda: there)
  with pytest.raises(ValueError, match='batch_size: is too large'):
    fit_run(ONE, *_resolved(1), str(tmp_path / 'run'))
  assert not os.path.exists(tmp_path / 'run' / 'settings.json')


def test_a_machine_has_more_memory_than_this_test_takes():
  assert 2**28 < measure.room() < 2**60
