"""Figures are whole, readable, and of the size and pixels they promise."""

import os

import numpy as np
from PIL import Image
import pytest

from genjax import viz
from genjax.viz import figures
from genjax.viz import images as pictures
from genjax.viz.figures import BLUE
from genjax.viz.figures import ORANGE
from tests.figures import BARE
from tests.figures import ink

_RNG = np.random.default_rng(0)


def _images(num=5, size=4, channels=3):
  return _RNG.integers(0, 255, (num, size, size + 1, channels), np.uint8)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('gap, zoom', [(0, 1), (1, 1), (3, 2)])
def test_tile_puts_every_pixel_in_its_place(channels, gap, zoom):
  images = _images(channels=channels)
  grid = viz.tile(images, 3, gap=gap, zoom=zoom)
  high, wide = 4 * zoom + gap, 5 * zoom + gap
  assert grid.dtype == np.uint8
  assert grid.shape == (2 * high + gap, 3 * wide + gap, 3)
  filled = np.zeros(grid.shape[:2], bool)
  for i, image in enumerate(images):
    top, left = gap + i // 3 * high, gap + i % 3 * wide
    cell = np.s_[top:top + 4 * zoom, left:left + 5 * zoom]
    want = np.kron(np.broadcast_to(image, (4, 5, 3)),
                   np.ones((zoom, zoom, 1), np.uint8))
    np.testing.assert_array_equal(grid[cell], want)
    filled[cell] = True
  assert np.all(grid[~filled] == 255)  # gaps, and the place without an image


def test_rgb_lays_opacity_over_white():
  """To half a level, of every opacity and colour of a grid."""
  levels = np.arange(0, 256, 15)
  opacity, color = (a.ravel() for a in np.meshgrid(levels, levels))
  images = np.stack([color, 255 - color, color, opacity], -1)[None, None]
  got = pictures.rgb(images.astype(np.uint8))[0, 0].astype(float)
  share = opacity[:, None] / 255
  want = share * images[0, 0, :, :3] + (1 - share) * 255
  np.testing.assert_allclose(got, want, atol=.5 + 1e-4)


@pytest.mark.parametrize('images, message', [
    (np.zeros((4, 4, 3), np.uint8), 'images must have 4 axes'),
    (np.zeros((2, 4, 4, 2), np.uint8), 'images must have 1, 3 or 4 channels'),
    (np.zeros((2, 4, 4, 1)), 'images must be uint8, got float64'),
])
def test_tile_refuses_what_are_no_images(images, message):
  with pytest.raises(ValueError, match='rgb: ' + message):
    viz.tile(images, 2)


@pytest.mark.parametrize('name', [
    'a$b$c', '$\\frac$', '$', '\\$5', 'x_1^2', ''])
def test_plain_shows_a_name_letter_by_letter(name):
  looks = []
  for text, options in ((figures.plain(name), {}),
                        (name, {'parse_math': False})):
    figure = figures.new(1, 0.5)
    figure.text(0.1, 0.5, text, **options)
    looks.append(figures.pixels(figure))
  np.testing.assert_array_equal(*looks)


def test_plain_is_printable_and_short():
  assert figures.plain('a\nb\udcff') == 'a\ufffdb\ufffd'
  assert figures.plain('x' * 40) == 'x' * 40
  assert figures.plain('x' * 41) == 'x' * 39 + '\u2026'


@pytest.mark.parametrize('columns, width, want', [(10, 8, 10), (10, 100, 1)])
def test_zoom_for_fills_the_width(columns, width, want):
  assert viz.zoom_for(np.zeros((1, 8, width, 1)), columns) == want


def test_save_grid_writes_the_pixels_of_tile(tmp_path):
  path = str(tmp_path / 'grid.png')
  images = _images(channels=1)
  viz.save_grid(path, images, 2)
  want = viz.tile(images, 2, gap=6, zoom=viz.zoom_for(images, 2))
  np.testing.assert_array_equal(np.asarray(Image.open(path)), want)


def test_save_gif_plays_its_frames_and_holds_the_last(tmp_path):
  path = str(tmp_path / 'move.gif')
  shades = (0, 120, 250)
  viz.save_gif(path, [np.full((6, 8, 3), s, np.uint8) for s in shades],
               milliseconds=50, hold=700)
  with Image.open(path) as gif:
    assert (gif.n_frames, gif.size, gif.info['loop']) == (3, (8, 6), 0)
    for i, shade in enumerate(shades):
      gif.seek(i)
      assert gif.info['duration'] == (700 if i == 2 else 50)
      assert abs(int(np.asarray(gif.convert('L'))[0, 0]) - shade) <= 1


def _image_strips():
  captions = [str(i) for i in range(3)]
  images = _RNG.integers(0, 255, (3, 2, 4, 4, 1), np.uint8)
  return {'forward': (images, captions), 'reverse': (images[::-1], captions)}


def _point_strips():
  panels = [
      viz.PointPanel(_RNG.normal(size=(800, 2)), str(i), 2., density)
      for i, density in enumerate([None, lambda x: -.5 * (x**2).sum(-1)])]
  return {'forward': panels, 'reverse': panels[::-1]}


def _curves(path):
  viz.save_training_curves(path, [
      {'step': i, 'loss': 1 / (i + 1), 'grad_norm': 2.,
       'loss_by_log_snr/-inf_to_-8': 1., 'loss_by_log_snr/-2_to_0': .5,
       **({'test/loss': .4} if i % 2 else {})} for i in range(1, 5)])


FIGURES = {
    'filmstrips': lambda path: viz.save_filmstrips(path, _image_strips()),
    'point_strips': lambda path: viz.save_point_strips(path, _point_strips()),
    'points': lambda path: viz.save_points(
        path, _RNG.normal(size=(200, 2)), 2.),
    'training_curves': _curves,
    'grid': lambda path: viz.save_grid(path, _images(), 2),
    'gif': lambda path: viz.save_gif(path, [np.zeros((4, 4, 3), np.uint8)] * 2),
}


# Figure -> colours of what is drawn in it, none for images.
INKS = {
    'filmstrips': (),
    'point_strips': (BLUE,),
    'points': (BLUE,),
    'training_curves': (BLUE, ORANGE),
}


@pytest.mark.parametrize('name', INKS)
def test_figures_are_readable_and_show_what_they_are_of(name, tmp_path):
  path = str(tmp_path / f'{name}.png')
  FIGURES[name](path)
  with Image.open(path) as picture:
    assert min(picture.size) > 200
  for color in INKS[name]:
    assert ink(path, color) > 5e-4
  if not INKS[name]:
    assert ink(path) > 2 * BARE
  assert os.listdir(tmp_path) == [f'{name}.png']


def test_axes_alone_are_no_ink(tmp_path):
  """So that the test above can fail."""
  path = str(tmp_path / 'bare.png')
  figure = figures.new(6, 4)
  for axes in figure.subplots(2, 3).flat:
    axes.set(title='a title', xlabel='step', ylabel='nats')
  figures.save(path, figure)
  assert 0 < ink(path) < BARE
  assert ink(path, BLUE) == ink(path, ORANGE) == 0


@pytest.mark.parametrize('name', FIGURES)
def test_figures_that_fail_leave_the_last_one_whole(name, tmp_path,
                                                    monkeypatch):
  """A writer that dies halfway leaves neither half a figure nor a stray file.
  """
  path = tmp_path / ('x.gif' if name == 'gif' else 'x.png')
  path.write_text('before')

  def die(self, file, **kwargs):
    with open(file, 'w', encoding='utf8') as partial:
      partial.write('half')
    raise OSError('disk full')

  monkeypatch.setattr(Image.Image, 'save', die)
  monkeypatch.setattr('matplotlib.figure.Figure.savefig', die)
  with pytest.raises(OSError, match='disk full'):
    FIGURES[name](str(path))
  assert os.listdir(tmp_path) == [path.name]
  assert path.read_text() == 'before'


def test_point_frame_is_a_square_with_its_points():
  empty = viz.point_frame(np.zeros((0, 2)), 2.0, 't = 1')
  frame = viz.point_frame(_RNG.normal(size=(50, 2)), 2.0, 't = 1')
  assert frame.shape == (400, 400, 3) and frame.dtype == np.uint8
  assert 10 < np.any(frame != empty, -1).sum() < 2000


def test_save_training_curves_refuses_no_records(tmp_path):
  with pytest.raises(ValueError, match='save_training_curves: records must'):
    viz.save_training_curves(str(tmp_path / 'x.png'), [])
