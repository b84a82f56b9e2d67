"""Runs on images of more than 8 bits, and on signals: what fits, what not."""

import dataclasses

import jax
import numpy as np
import pytest

from genjax.data import named
from genjax.data import scaled
from genjax.runs import diffusion
from genjax.runs import diffusion_settings
from genjax.runs import recipe
from genjax.runs.data import scale_of
from genjax.runs.diffusion_choice import resolve
from genjax.runs.settings import check_settings
from genjax.runs.settings import from_json
from genjax.runs.settings import to_json
from genjax.runs.vae_settings import Settings as OfVAE


def data_of(values, type_):
  values = np.asarray(values, type_)
  return named.Data(scaled.ScaledSource(
      values, scaled.find_scale('x', values)), None)


def settings_of(**values):
  """Of a small transformer, told nothing."""
  return diffusion_settings.Settings(
      network='dit', width=(8,), guidance=1.0, **values)


@pytest.mark.parametrize('type_, levels', [
    ('uint16', 1201), ('int16', 1201), ('float32', None), ('float64', None)])
def test_settings_tell_the_scale_of_the_data_and_keep_it(type_, levels):
  values = np.random.default_rng(0).integers(50, 1250, (9, 4, 4, 1))
  values[0, :2, 0, 0] = 50, 1250
  of = lambda **chosen: diffusion_settings.with_facts(
      settings_of(**chosen), data_of(values, type_))
  settings = of()
  assert scale_of(settings) == scaled.Scale(50, 1250, type_)
  assert from_json(diffusion_settings.Settings, to_json(settings)) == settings
  spread = np.std((values - 650) / 600)
  assert settings.data_std == pytest.approx(spread, rel=1e-6)
  assert settings.levels is None and of(dequantise=True).levels == levels
  if levels is None:
    with pytest.raises(ValueError, match='^levels: must be given where pixels'):
      diffusion.build(of(dequantise=True))
    diffusion.build(of(dequantise=True, levels=256))


def test_settings_of_bytes_and_points_have_no_scale():
  """Nor those of old runs, and of kinds that know of none."""
  for name in ('digits', 'toy:moons,points=64'):
    assert scale_of(diffusion_settings.with_facts(
        diffusion_settings.Settings(), named.open_data(name))) is None
  assert scale_of(from_json(diffusion_settings.Settings, {})) is None
  assert scale_of(OfVAE()) is None


@pytest.mark.parametrize('damage', [
    {'value_type': None}, {'value_range': ()}, {'value_range': (1.0,)},
    {'value_range': (1.0, 1.0)}])
def test_half_a_scale_is_refused(damage):
  whole = settings_of(value_range=(0.0, 1.0), value_type='float32')
  with pytest.raises(ValueError, match='^value_range: must be two numbers'):
    scale_of(dataclasses.replace(whole, **damage))


@pytest.mark.parametrize('accelerator', [False, True])
@pytest.mark.parametrize('length', [1, 64, 101, 48000])
def test_a_recipe_makes_a_network_that_signals_pass(length, accelerator):
  """In patches that are whole, and as near to 32 as the length allows."""
  shape = (length, 2)
  settings = diffusion_settings.choose(
      recipe.choose(shape, 500, accelerator=accelerator),
      {'shape': shape, 'guidance': 1.0})
  check_settings(settings)
  model = diffusion.build(settings)
  jax.eval_shape(lambda key: model.init(key, None), jax.random.key(0))
  number = length / settings.patch_size
  assert number == int(number)
  if length in (64, 48000):
    assert 20 <= number <= 50
  told = recipe.choose(shape, 500, accelerator=accelerator,
                       chosen={'width': (24,), 'patch_size': 1})
  assert (24 % told['head_dim'], told['patch_size']) == (0, 1)


def test_signals_in_a_file_are_trained_by_the_recipe_for_them(tmp_path):
  np.save(tmp_path / 'x.npy', np.random.default_rng(0).normal(size=(30, 48, 2)))
  settings, data, preset = resolve(None, {'data': f'npy:{tmp_path}/x.npy'})
  assert (preset, settings.network, settings.shape) == ('auto', 'dit', (48, 2))
  assert settings.patch_size == 2 and data.description.shape == (48, 2)
  assert scale_of(settings) == data.scale


@pytest.mark.parametrize('chosen, message', [
    ({'network': 'unet'}, 'network: must be .* and dit for signals, got unet'),
    ({'network': 'mlp'}, 'network: must be .* and dit for signals, got mlp'),
    ({'horizontal_flip': True}, 'horizontal_flip: must be false for'),
    ({'crop': 1}, 'crop: must be less than the sides of an image, and 0 for')])
def test_what_is_for_images_is_refused_for_signals(chosen, message):
  settings = dataclasses.replace(settings_of(shape=(8, 2)), **chosen)
  with pytest.raises(ValueError, match=f'^{message}'):
    diffusion.build(settings)


def test_a_length_of_no_whole_number_of_patches_is_refused():
  model = diffusion.build(settings_of(shape=(9, 2), patch_size=2))
  with pytest.raises(ValueError, match='length must be a multiple of 2, got 9'):
    jax.eval_shape(lambda key: model.init(key, None), jax.random.key(0))
