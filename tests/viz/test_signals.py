"""Curves are where the values are, and every step of them is drawn."""

import numpy as np
import pytest

from genjax.viz import figures
from genjax.viz import signals

COLORS = np.round(255 * figures.colors(3)[:, :3]).astype(np.uint8)


def rows_of(picture, channel):
  """First and last row [96] that a channel's colour takes in each column."""
  drawn = (picture == COLORS[channel]).all(-1)
  assert drawn.any(0).all()  # no gap
  return drawn.argmax(0), len(drawn) - 1 - drawn[::-1].argmax(0)


def test_constants_lie_between_the_lines_of_their_range():
  values = np.array([-1, -.5, 0, .5, 1], np.float32)
  picture = signals.curves(np.tile(values[:, None, None], (1, 7, 1)))
  assert picture.shape == (5, signals.HEIGHT, signals.WIDTH, 3)
  tops = [rows_of(one, 0) for one in picture]
  for top, bottom in tops:
    np.testing.assert_array_equal(top, bottom)
    assert len(set(top)) == 1
  rows = np.array([top[0] for top, _ in tops])
  assert (np.diff(rows) < 0).all()  # what is larger is higher
  np.testing.assert_allclose(np.diff(rows), -(rows[0] - rows[-1]) / 4, atol=1)


@pytest.mark.parametrize('length', [1, 2, 5, 96, 1000])
def test_a_line_rises_from_left_to_right(length):
  x = np.linspace(-1, 1, length, dtype=np.float32)[None, :, None]
  top, bottom = rows_of(signals.curves(x)[0], 0)
  assert (np.diff(top) <= 0).all() and (top <= bottom).all()
  if length > 2:
    span = signals.HEIGHT * (1 - np.linspace(-1, 1, signals.WIDTH)) / 2
    assert np.abs((top + bottom) / 2 - span).max() < 6


def test_a_peak_of_one_step_is_seen_however_many_steps_there_are():
  for at in (0, 345, 999):
    x = np.full((1, 1000, 2), -.9, np.float32)
    x[0, at, 1] = .9
    picture = signals.curves(x)[0]
    assert (picture == COLORS[1]).all(-1).sum(0).max() >= 49
    assert (picture == COLORS[0]).all(-1).any(0).all()  # which is on top


def test_what_is_beyond_or_not_a_number_leaves_the_picture():
  x = np.array([5, -5, np.nan], np.float32)
  for picture in signals.curves(np.tile(x[:, None, None], (1, 4, 1))):
    assert not (picture == COLORS[0]).all(-1).any()
