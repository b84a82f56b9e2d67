"""What settings say of a folder reaches the source that is trained on."""

import numpy as np
from PIL import Image
import pytest

from genjax.reports import augmentation
from genjax.reports import evaluation
from genjax.reports import generalise
from genjax.reports import image_sets
from genjax.reports import image_space
from genjax.runs import classifier_data
from genjax.runs import data
from genjax.runs import diffusion_settings
from genjax.runs import vae_settings
from genjax.runs.diffusion_choice import resolve
from genjax.runs.settings import from_json
from genjax.runs.settings import to_json

OPEN = {
    'diffusion': lambda **chosen: data.open_data(
        diffusion_settings.Settings(**chosen)),
    'vae': lambda **chosen: data.open_data(vae_settings.Settings(**chosen)),
    'classifier': lambda **chosen: classifier_data.open_data(chosen),
    'augmentation': lambda **chosen: data.open_data(
        augmentation.Settings(**chosen)),
    'generalise': lambda **chosen: data.open_data(
        generalise.Settings(**chosen)),
    'image space': lambda **chosen: data.open_data(
        image_space.Settings(**chosen)),
    'evaluation': lambda **chosen: data.open_data(
        evaluation.Settings(samples='x', **chosen)),
}


@pytest.mark.parametrize('kind', OPEN)
def test_a_folder_is_read_as_the_settings_say(kind, tmp_path):
  for i in range(4):
    pixels = np.full((4, 6), 50 * i, np.uint8)
    Image.fromarray(pixels).save(tmp_path / f'{"ab"[i % 2]}{i}.png')
  chosen = {'data': f'folder:{tmp_path}', 'image_size': (4, 6), 'channels': 3,
            'labels': 'prefix'}
  for cache in (0.0, 2.0):
    source = OPEN[kind](**chosen, cache=cache).train
    assert (source.pixels is not None) == (cache > 0)
    assert source.class_names == ('a', 'b')
    assert source[3]['image'].shape == (4, 6, 3)
  parts = OPEN[kind](**chosen, held_out=0.5, cache=2.0)
  assert len(parts.train) == len(parts.test) == 2


@pytest.mark.parametrize('kind', OPEN)
def test_kinds_that_keep_16_bits_read_them(kind, tmp_path):
  """Others read 8; and so do runs that were begun without a word on it."""
  for i in range(4):
    Image.fromarray(np.full((4, 6), 5000 * i, np.uint16)).save(
        tmp_path / f'{"ab"[i % 2]}{i}.png')
  chosen = {'data': f'folder:{tmp_path}', 'image_size': (4, 6),
            'labels': 'prefix'}
  keeps = kind not in ('vae', 'augmentation', 'generalise')
  for bits in (None, 8, 16) if keeps else ('absent',):
    source = OPEN[kind](**chosen, **({'bits': bits} if keeps else {})).train
    assert (source.scale is None) == (bits in (8, 'absent'))
  written = to_json(diffusion_settings.Settings(**chosen))
  del written['bits']
  old = from_json(diffusion_settings.Settings, written)
  assert data.open_data(old).train.scale is None


def test_settings_say_the_bits_that_were_read(tmp_path):
  """So that a run that is opened again reads as many."""
  rng = np.random.default_rng(0)
  for i in range(4):
    Image.fromarray(rng.integers(0, 4096, (8, 8)).astype(np.uint16)).save(
        tmp_path / f'{"ab"[i % 2]}{i}.png')
  chosen = {'data': f'folder:{tmp_path}', 'image_size': (8, 8),
            'labels': 'prefix'}
  for bits, more in ((16, {}), (8, {'bits': 8}), (8, {'channels': 3})):
    settings, found, _ = resolve('digits', {**chosen, **more})
    assert settings.bits == bits
    assert data.scale_of(settings) == found.scale
    assert (found.scale is None) == (bits == 8)
    assert data.open_data(settings).scale == found.scale
    judged = classifier_data.settings_for(found, {
        **image_sets.data_of(settings), 'batch_size': 4})
    assert judged.bits == bits and judged.class_names == ('a', 'b')
    assert data.open_data(judged).scale == found.scale
