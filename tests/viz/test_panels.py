"""Panels are whole and readable, and every kind of layer leaves its mark."""

import os

import numpy as np
from PIL import Image
import pytest

from genjax.viz import panels
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel

_X = np.linspace(1.0, 2.0, 20)
_Y = {'band': np.stack([_X, _X + 1]), 'histogram': None}


def _layer(kind):
  return Layer(kind, _X, _Y.get(kind, _X**2), 'a name', '#ff0000')


def _write(path, layers, **options):
  panels.save_panels(str(path), [[Panel('title', 'x', 'y', layers, **options)]])
  return np.asarray(Image.open(path).convert('RGB')).astype(int)


def _reddish(picture):
  red, green, blue = np.moveaxis(picture, -1, 0)
  return np.sum((red - green > 30) & (red - blue > 30))


@pytest.mark.parametrize('kind', panels.KINDS)
def test_save_panels_draws_every_kind_of_layer(kind, tmp_path):
  path = tmp_path / 'x.png'
  assert _reddish(_write(path, [_layer(kind)])) > 50
  assert os.listdir(tmp_path) == ['x.png']


@pytest.mark.parametrize('options', [
    {'log': 'x'}, {'log': 'y'}, {'log': 'xy'}, {'x_limits': (0.0, 4.0)},
    {'y_limits': (0.0, 9.0)}, {'y_limits': (0.0, None)}, {'equal': True}])
def test_save_panels_options_change_the_axes(options, tmp_path):
  plain = _write(tmp_path / 'a.png', [_layer('line')])
  assert np.any(_write(tmp_path / 'b.png', [_layer('line')], **options)
                != plain)


def test_save_panels_lays_out_rows(tmp_path):
  panel = Panel('title', 'x', 'y', [_layer('line')])
  sizes = []
  for rows in ([[panel]], [[panel, panel], [panel]]):
    panels.save_panels(str(tmp_path / 'x.png'), rows, width=4, height=2)
    with Image.open(tmp_path / 'x.png') as picture:
      sizes.append(picture.size)
  assert sizes == [(600, 300), (600, 600)]  # 150 dots an inch


def test_save_panels_refuses_an_unknown_kind(tmp_path):
  with pytest.raises(ValueError, match="save_panels: kind must be .* 'pie'"):
    panels.save_panels(str(tmp_path / 'x.png'), [[
        Panel('title', 'x', 'y', [Layer('pie', _X, _X)])]])
  assert not os.listdir(tmp_path)


def test_save_joint_puts_functions_of_y_upright(tmp_path):
  """A curve beside the joint is that above it, mirrored, on the right."""
  x = np.linspace(-3.0, 3.0, 40)
  bell = np.exp(-0.5 * x**2)
  joint = panels.Joint(x, x, np.outer(bell, bell), np.array([0.2, 0.6]),
                       np.zeros((1, 2)), 0.5, [], [])

  def picture(**layers):
    path = str(tmp_path / 'x.png')
    panels.save_joint(path, joint._replace(**layers), ('x', 'y'))
    return np.asarray(Image.open(path).convert('RGB')).astype(int)

  for kind, y in (('line', bell), ('histogram', None)):
    layer = Layer(kind, x, y, color='#00ff00')
    for name, place in (('above', np.s_[:450, :]), ('right', np.s_[:, 690:])):
      red, green, blue = np.moveaxis(picture(**{name: [layer]}), -1, 0)
      at = np.argwhere((green - red > 60) & (green - blue > 60))
      inside = np.zeros(red.shape, bool)
      inside[place] = True
      assert len(at) > 100 and np.all(inside[tuple(at.T)])
      spread = np.ptp(at, axis=0)
      # Above, the abscissa is long and the density short; the other way round
      # on the right.
      assert (spread[1] > spread[0]) == (name == 'above')
