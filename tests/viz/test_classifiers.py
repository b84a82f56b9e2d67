"""Figures of classifiers are whole, and show what they are given."""

import os

import numpy as np
from PIL import Image
import pytest

from genjax.viz import classifiers

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)


def read(path):
  with Image.open(path) as picture:
    return np.asarray(picture.convert('RGB')).astype(int)


def share_like(picture, color):
  """Share of the pixels of a colour."""
  return np.mean(np.all(np.abs(picture - color) < 3, axis=-1))


def boundary(path, first, points=np.zeros((1, 2)), label=np.array([1])):
  """A map of which the share `first`, on the left, is surely class 0."""
  one = (np.arange(40) < 40 * first).astype(float)
  probabilities = np.stack([one, 1 - one], -1)[None].repeat(40, axis=0)
  classifiers.save_boundary(str(path), points, label, probabilities, 2.0,
                            points, ('a', 'b'), 'title')
  return read(path)


def test_save_boundary_colours_the_plane_by_class(tmp_path):
  """Tinted: .45 of the colour, the rest white."""
  blue, orange = (np.round(0.45 * np.array(c) + 0.55 * 255)
                  for c in (BLUE, ORANGE))
  half = boundary(tmp_path / 'x.png', 0.5)
  quarter = boundary(tmp_path / 'x.png', 0.25)
  # But for what lies under the boundary, half is as much as half.
  np.testing.assert_allclose(share_like(half, blue), share_like(half, orange),
                             rtol=0.1)
  np.testing.assert_allclose(share_like(quarter, orange),
                             3 * share_like(quarter, blue), rtol=0.2)
  assert share_like(half, blue) > 0.05
  assert os.listdir(tmp_path) == ['x.png']


def test_save_boundary_marks_points_in_both_panels(tmp_path):
  line = np.stack([np.linspace(-1.9, -1, 30)] * 2, -1)
  none = boundary(tmp_path / 'x.png', 1.0)
  some = boundary(tmp_path / 'x.png', 1.0, line, np.ones(30, int))
  middle = none.shape[1] // 2
  for half in (np.s_[:, :middle], np.s_[:, middle:]):
    assert share_like(some[half], ORANGE) > share_like(none[half], ORANGE)


def report(path, num=3, **changes):
  rng = np.random.default_rng(0)
  given = dict(
      class_names=[f'class {k}' for k in range(num)],
      confusion=5 * np.eye(num, dtype=int),
      reliability=classifiers.Reliability(
          np.array([0.2, np.nan, 0.9]), np.array([0.3, np.nan, 0.8]),
          np.array([3, 0, 9]), 0.1),
      features=classifiers.Map(rng.normal(size=(30, 2)),
                               rng.integers(0, num, 30), ('a', 'b')),
      spectra=[classifiers.Spectrum('pixels', np.array([3.0, 2.0, 1.0]), 2.6),
               classifiers.Spectrum('features', np.array([3.0, 0.1]), 1.1)])
  classifiers.save_classifier(str(path), **{**given, **changes})
  return read(path)


@pytest.mark.parametrize('changes', [
    {'confusion': np.diag([5, 5, 4]) + np.eye(3, k=1, dtype=int)},
    {'reliability': classifiers.Reliability(
        np.array([0.5]), np.array([0.5]), np.array([12]), 0.0)},
    {'features': classifiers.Map(np.ones((1, 2)), np.array([0]), ('a', 'b'))},
    {'spectra': [classifiers.Spectrum('pixels', np.array([1.0, 1.0]), 2.0)]},
])
def test_save_classifier_shows_each_part(changes, tmp_path):
  plain = report(tmp_path / 'a.png')
  assert np.any(plain != report(tmp_path / 'b.png', **changes))


@pytest.mark.parametrize('num', [2, 15, 40])
def test_save_classifier_fits_few_and_many_classes(num, tmp_path):
  picture = report(tmp_path / 'x.png', num)
  assert min(picture.shape[:2]) > 1000
  assert os.listdir(tmp_path) == ['x.png']


def test_save_animation_plays_its_frames_in_order(tmp_path):
  frames = []
  for shade in (10, 120, 250):
    frames.append(str(tmp_path / f'{shade}.png'))
    Image.new('RGB', (30, 15), (shade,) * 3).save(frames[-1])
  classifiers.save_animation(str(tmp_path / 'x.gif'), frames)
  with Image.open(tmp_path / 'x.gif') as moving:
    assert (moving.n_frames, moving.size) == (3, (20, 10))
    for i, shade in enumerate((10, 120, 250)):
      moving.seek(i)
      assert abs(int(np.asarray(moving.convert('L'))[0, 0]) - shade) <= 1
