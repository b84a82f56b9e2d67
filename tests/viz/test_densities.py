"""Densities are drawn over their points, in panels that can be compared."""

import os

import numpy as np
from PIL import Image
import pytest

from genjax.viz import densities

_X = np.random.default_rng(0).normal(size=(300, 3))


def _log_density(x):
  return -0.5 * (x**2).sum(-1) - 0.9 * x.shape[-1]


@pytest.mark.parametrize('dim', [1, 2])
@pytest.mark.parametrize('num', [1, 6])
def test_save_densities_writes_a_readable_figure(dim, num, tmp_path):
  path = tmp_path / 'x.png'
  densities.save_densities(str(path), _X[:, :dim], [
      densities.DensityPanel('points', None),
      *[densities.DensityPanel('a density', _log_density)] * num])
  picture = np.asarray(Image.open(path).convert('RGB'))
  assert min(picture.shape[:2]) > 300
  assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
  assert os.listdir(tmp_path) == ['x.png']


def test_save_densities_asks_for_densities_where_the_points_are(tmp_path):
  asked = []

  def log_density(x):
    asked.append(x)
    return _log_density(x)

  densities.save_densities(
      str(tmp_path / 'x.png'), _X[:, :2] + [10, 0],
      [densities.DensityPanel('a density', log_density)])
  low, high = _X[:, :2].min(0) + [10, 0], _X[:, :2].max(0) + [10, 0]
  mesh = asked[0]
  assert np.all(mesh.min(0) < low) and np.all(mesh.max(0) > high)
  assert np.all(mesh.max(0) - mesh.min(0) < 1.2 * (high - low))


def test_save_densities_puts_the_map_the_right_way_up(tmp_path):
  """All mass at the right and the bottom: the dark corner is there."""
  path = tmp_path / 'x.png'
  corners = np.array([[-1., -1.], [1., 1.]])
  densities.save_densities(
      str(path), corners, [densities.DensityPanel(
          '', lambda x: np.where((x[:, 0] > 0) & (x[:, 1] < 0), 0., -np.inf))])
  dark = np.asarray(Image.open(path).convert('L')).astype(float) < 80
  filled = dark[:, :dark.shape[1] * 7 // 10]  # without the colour bar
  rows, columns = np.nonzero(filled)
  assert rows.mean() > 0.5 * filled.shape[0]
  assert columns.mean() > 0.5 * filled.shape[1]


def test_save_samples_draws_points_and_draws(tmp_path):
  path = tmp_path / 'x.png'
  densities.save_samples(str(path), _X, [
      ('points', np.empty((0, 3))), ('draws', 2 * _X)], ('a', 'b'))
  picture = np.asarray(Image.open(path).convert('RGB')).astype(int)
  middle = picture.shape[1] // 2
  bluish = picture[..., 2] - picture[..., 0] > 60
  assert bluish[:, middle:].sum() > 50 and bluish[:, :middle].sum() == 0
  reddish = picture[..., 0] - picture[..., 2] > 60
  assert reddish[:, :middle].sum() > 50 and reddish[:, middle:].sum() > 50


def test_save_densities_refuses_other_dimensions(tmp_path):
  with pytest.raises(ValueError, match='save_densities: points must be'):
    densities.save_densities(str(tmp_path / 'x.png'), _X, [])
