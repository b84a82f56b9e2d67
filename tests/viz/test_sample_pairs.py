"""Strips of pictures stand in order over the curves."""

import numpy as np
from PIL import Image
import pytest

from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.sample_pairs import save_sample_pairs

COLORS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0]],
                  np.uint8)
LINE = [0, 250, 250]


@pytest.fixture(autouse=True)
def few_dots(monkeypatch):
  monkeypatch.setattr(figures, 'DOTS', 60)


def write(path, strips, height=8, width=8):
  """The figure [H, W, 3] of even pictures: title -> colours [R, P, 3]."""
  x = np.array([2, 20])
  save_sample_pairs(
      str(path), {title: np.broadcast_to(
          colors[:, :, None, None], (*colors.shape[:2], height, width, 3))
                  for title, colors in strips.items()}, ['a', 'b'],
      Panel('', 'x', 'y', [Layer('line', x, x, color='#00fafa')], log='x'), x)
  with Image.open(path) as picture:
    return np.asarray(picture.convert('RGB'), int)


def middle(picture, color):
  """Mean row and column, and the number, of the pixels of a colour."""
  rows, columns = np.nonzero(np.all(np.abs(picture - color) < 6, -1))
  assert len(rows)
  return rows.mean(), columns.mean(), len(rows)


def test_rows_columns_and_strips_are_in_reading_order(tmp_path):
  strips = {'first': COLORS[[[0, 1], [2, 3]]],
            'second': np.array([[[90, 0, 90]] * 2, [[0, 90, 90]] * 2],
                               np.uint8)}
  picture = write(tmp_path / 'x.png', strips)
  found = [middle(picture, color) for color in (
      *COLORS, [90, 0, 90], [0, 90, 90], LINE)]
  down, right, size = np.transpose(found)
  # A millimetre of 60 dots an inch.
  np.testing.assert_allclose(down[[0, 2]], down[[1, 3]], atol=3)
  np.testing.assert_allclose(right[[0, 1]], right[[2, 3]], atol=3)
  assert right[0] < right[1]
  assert (np.diff(down[[0, 2, 4, 5, 6]]) > 0).all()
  np.testing.assert_allclose(size[:4], size[0], rtol=0.05)


@pytest.mark.parametrize('height', [4, 16])
def test_pictures_keep_their_shape(tmp_path, height):
  picture = write(tmp_path / 'x.png', {'': COLORS[[[0, 1], [2, 3]]]}, height, 8)
  rows, columns = np.nonzero(np.all(np.abs(picture - COLORS[0]) < 6, -1))
  np.testing.assert_allclose(np.ptp(rows) / np.ptp(columns), height / 8,
                             rtol=0.05)
