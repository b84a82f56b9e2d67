"""Images changed in training, the model told how: it draws unchanged ones."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from genjax.data.sources import ArraySource
from genjax.diffusion import named as named_parts
from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs import measure
from genjax.runs.fit import make_trainer
from genjax.runs.prepare import batches_from
from genjax.training.work import Program

# Each of its pixels is the opposite of what it is in the mirrored image.
_IMAGE = np.zeros((4, 4, 1), np.uint8)
_IMAGE[:, :2] = 255
_SOURCE = ArraySource({'image': np.stack([_IMAGE] * 8),
                       'label': np.arange(8) % 2}, ('a', 'b'))


def _settings(**chosen):
  settings = diffusion_settings.choose('digits', {
      'network': 'dit', 'width': (16,), 'patch_size': 4, 'batch_size': 128,
      'augment': 0.12, **chosen})
  return dataclasses.replace(settings, shape=(4, 4, 1), data_std=1.0,
                             class_names=('a', 'b'))


def test_what_images_were_changed_into_does_not_leak():
  """At the most noise a trained model gives the mean of the data: the image.

  Of all that it was trained on, half of it mirrored, the mean is 0. So it is
  whether it is told a class or not.
  """
  settings = _settings(steps=300, warmup=10, learning_rate=1e-2, ema_decay=0.95,
                       label_dropout=0.5)
  task = diffusion.TASK._replace(loss=lambda settings, model: diffusion.loss(
      settings, model)._replace(devices=1))
  state = make_trainer(task, settings)(jax.random.key(0), _SOURCE, 0)
  functions = diffusion.build(settings).functions(state.averages['ema'])
  noise = 20 * np.random.default_rng(0).normal(size=(64, 4, 4, 1))
  batches = batches_from(settings, task.loss(settings, diffusion.build(
      settings)), _SOURCE, 0, 0)
  seen = np.concatenate([next(batches)['x'] for _ in range(20)])
  assert np.abs(seen.mean(0)).max() < 5 / np.sqrt(len(seen))  # 5 deviations
  for cond in (None, {'label': np.arange(64) % 2}):
    x = jax.jit(functions.denoiser(cond))(noise.astype(np.float32), 20.0)
    assert np.mean(x * (_IMAGE / 127.5 - 1)) > 0.5


class Spy:
  """A network that keeps what it is told."""

  def __init__(self, **attributes):
    self.attributes = attributes
    self.seen = []

  def init(self, key, x, noise):
    return {'params': {}}

  def apply(self, variables, x, noise, cond, **kwargs):
    self.seen.append(cond)
    return x


@pytest.mark.parametrize('conditional', [True, False])
@pytest.mark.parametrize('name', ['unet', 'dit'])
def test_a_model_is_told_in_training_alone(name, conditional, monkeypatch):
  """Of all examples, whether the rest is dropped or there is none."""
  spies = []
  monkeypatch.setitem(named_parts.NETWORKS, name, lambda p, **told: (
      spies.append(Spy(**told)) or spies[-1]))
  settings = _settings(network=name, conditional=conditional, guidance=1.0,
                       label_dropout=0.9)
  model = diffusion.build(settings)
  objective, params = diffusion.loss(settings, model), {'network': {}}
  spy = spies[-1]
  assert spy.attributes['augment_size'] == 9
  batch = next(batches_from(settings, objective, _SOURCE, 0, 3))
  spy.seen.clear()
  told = jax.jit(lambda batch: (objective.loss_fn(
      params, jax.random.key(0), batch, None), spy.seen.pop())[1])(batch)
  labels = {'label'} if conditional else set()
  assert set(told) == {'augment', 'absent'} | labels
  assert (told['absent'].mean() > 0.5) == conditional
  assert np.count_nonzero(batch['cond']['augment'][:, 1:]) > 20
  np.testing.assert_array_equal(told['augment'], batch['cond']['augment'])
  # Nothing is told of held-out images, nor of what is drawn.
  x = np.zeros((2, 4, 4, 1), np.float32)
  functions = model.functions(params)
  for cond in (None, {'label': np.zeros(2, int)})[:1 + conditional]:
    functions.denoiser(cond)(x, 0.5)
    assert set(spy.seen.pop() or {}) <= {'label', 'absent'}


def test_memory_is_measured_with_what_is_told():
  settings, seen = _settings(conditional=False, guidance=1.0), []
  objective = diffusion.loss(settings, diffusion.build(settings))
  program = Program(types.SimpleNamespace(
      memory_analysis=lambda: None, cost_analysis=lambda: None), None)
  compiled = types.SimpleNamespace(
      program=lambda state, key, batch: seen.append(batch) or program)
  measure.check_memory(compiled, None, None, settings, objective, _SOURCE)
  assert seen[0]['cond']['augment'].shape == (128, 9)


@pytest.mark.parametrize('chosen, shape', [
    ({'network': 'mlp'}, (2,)), ({}, (8, 2)), ({}, (8, 1, 3))])
def test_what_is_no_image_is_refused(chosen, shape):
  settings = dataclasses.replace(_settings(**chosen), shape=shape)
  with pytest.raises(ValueError, match='^augment: must be 0 but for images'):
    diffusion.build(settings)
