"""The figure of distances shows what it is given."""

import numpy as np
from PIL import Image
import pytest

from genjax.viz.image_space import Neighbours
from genjax.viz.image_space import Reaction
from genjax.viz.image_space import save_image_space


def write(path, wrong=(), channels=1, reach=0.5):
  images = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, channels))
  images = images.astype(np.uint8)
  marked = np.isin(np.arange(6), wrong).reshape(2, 3)
  rows = ['shift', 'noise']
  save_image_space(
      str(path), images[:, 0], [Neighbours('a', images, marked)],
      {'as it is': images[0, 0], 'shift': images[0, 1]}, rows,
      [Reaction('a', np.array([reach, 0.2]), np.array([[.1, .1], [.6, .3]]))],
      'units')
  with Image.open(path) as picture:
    return np.asarray(picture.convert('RGB')).astype(int)


def orange(picture):
  """Number of pixels of the frames' colour."""
  return np.sum(np.all(np.abs(picture - [0xd6, 0x60, 0x4d]) < 3, axis=-1))


def test_save_image_space_frames_wrong_neighbours(tmp_path):
  counts = [orange(write(tmp_path / 'x.png', wrong))
            for wrong in ((), (1,), (1, 3, 4))]
  assert counts[0] == 0 < counts[1]
  # Frames are alike but for how their edges fall on the figure's pixels.
  np.testing.assert_allclose(counts[2], 3 * counts[1], rtol=0.1)


def test_save_image_space_draws_colour_and_reactions(tmp_path):
  plain = write(tmp_path / 'x.png', channels=3)
  assert np.any(plain != write(tmp_path / 'x.png', channels=3, reach=0.3))


def test_save_image_space_refuses_other_channels(tmp_path):
  with pytest.raises(ValueError, match='1, 3 or 4 channels'):
    write(tmp_path / 'x.png', channels=2)
