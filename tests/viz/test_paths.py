"""The figures of paths show what they are given."""

import numpy as np
from PIL import Image

from genjax.viz import paths

RNG = np.random.default_rng(0)


def read(path):
  with Image.open(path) as picture:
    return np.asarray(picture.convert('RGB')).astype(int)


def images(*shape):
  return RNG.integers(0, 256, (*shape, 8, 8, 1)).astype(np.uint8)


def count(picture, color):
  """Number of pixels of a colour."""
  return np.sum(np.all(np.abs(picture - color) < 3, axis=-1))


def test_save_paths_draws_a_row_and_a_curve_a_path(tmp_path):
  """Lines in the first two colours, and the level of real images."""
  black = np.zeros((3, 8, 8, 1), np.uint8)
  values = {'a': np.arange(5.), 'b': np.arange(5.) + .5}

  def draw(names, real):
    paths.save_paths(
        str(tmp_path / 'x.png'), {name: black for name in names},
        np.linspace(0, 1, 3), [paths.Curve('distance', {
            name: values[name] for name in names}, real)])
    return read(tmp_path / 'x.png')

  one, two = draw(['a'], 2.0), draw(['a', 'b'], 2.0)
  assert two.shape[0] > one.shape[0]
  for picture, orange in ((one, False), (two, True)):
    assert count(picture, [0x21, 0x66, 0xac]) > 300
    assert (count(picture, [0xd6, 0x60, 0x4d]) > 300) == orange
  assert np.any(draw(['a'], None) != one)


def test_path_frame_shows_every_path():
  first, other = images(3), images(3)
  frames = [paths.path_frame(x, ['a', 'b', 'c']) for x in (
      first, np.concatenate([first[:2], other[2:]]))]
  assert frames[0].shape == frames[1].shape and frames[0].dtype == np.uint8
  columns = np.any(frames[0] != frames[1], axis=(0, 2))
  width = len(columns)
  assert columns[2 * width // 3 + 10:].any()
  assert not columns[:2 * width // 3 - 10].any()


def test_save_styles_repeats_the_two_classes_below(tmp_path):
  """A column of no class of the first two is seen once, theirs twice."""
  originals = images(3)
  styles = np.zeros((3, 4, 8, 8, 3), np.uint8)
  colors = np.eye(4, 3, dtype=np.uint8) * 255
  styles[:] = colors[:, None, None]
  paths.save_styles(str(tmp_path / 'x.png'), styles, originals,
                    ['1', '0', '2'], ['0', '1', '2', '3'])
  picture = read(tmp_path / 'x.png')
  area = [count(picture, color) for color in colors[:3]]
  assert area[0] == area[1] > 1.3 * area[2] > 0
  lower = picture[picture.shape[0] * 3 // 4:]
  red, green = (np.mean(np.nonzero(np.all(lower == color, axis=-1))[1])
                for color in colors[:2])
  assert green < red  # the class of the first comes first
