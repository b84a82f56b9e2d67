"""What settings say of a folder reaches the source that is trained on."""

import numpy as np
from PIL import Image
import pytest

from genjax.reports import augmentation
from genjax.reports import evaluation
from genjax.reports import generalise
from genjax.reports import image_space
from genjax.runs import classifier_data
from genjax.runs import data
from genjax.runs import diffusion_settings
from genjax.runs import vae_settings

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
