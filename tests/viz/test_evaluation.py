"""The figure of an evaluation shows numbers, and where there are none."""

import numpy as np
from PIL import Image
import pytest

from genjax.viz.evaluation import save_evaluation
from genjax.viz.evaluation import Scored


def write(path, *scores, num=3):
  images = np.zeros((2, num, 8, 8, 1), np.uint8)  # of no colour looked for
  save_evaluation(str(path), *images, scores)
  with Image.open(path) as picture:
    return np.asarray(picture.convert('RGB')).astype(int)


def count(picture, color):
  """Number of pixels of a colour."""
  return np.sum(np.all(np.abs(picture - color) < 3, axis=-1))


@pytest.mark.parametrize('samples, floor', [
    ((1.0, 0.5, 1.5), None), (None, (1.0, 0.5, 1.5)),
    ((1.0, 0.5, 1.5), (2.0, 1.0, 3.0))])
def test_save_evaluation_marks_what_has_a_number(samples, floor, tmp_path):
  picture = write(tmp_path / 'x.png', Scored('fd', samples, floor))
  # A line of 2 points is 4 pixels wide; of letters few are full.
  blue, grey = (count(picture, color) > 300
                for color in ([0x21, 0x66, 0xac], [0x66, 0x66, 0x66]))
  assert (blue, grey) == (samples is not None, floor is not None)


def test_save_evaluation_fits_one_sample_and_many_scores(tmp_path):
  scores = [Scored('fd', (1.0, 1.0, 1.0), None)] * 6 + [
      Scored('kid', None, None)]
  sizes = [write(tmp_path / 'x.png', *scores, num=num).shape
           for num in (1, 12)]
  assert max(height for height, _, _ in sizes) <= 7 * 150  # inches
