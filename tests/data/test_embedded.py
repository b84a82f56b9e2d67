"""Laws of the images that travel in scikit-learn."""

import chex
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.datasets import load_sample_images

from genjax.data import embedded
from genjax.data import sources


def test_digits_to_levels_inverts_every_level():
  levels = np.arange(17)
  stored = np.round(255 * levels / 16).astype(np.uint8)
  np.testing.assert_array_equal(embedded.digits_to_levels(stored), levels)
  # Samples are floats, and may leave the range.
  pixels = np.array([-300.0, -0.1, 7.9, 8.0, 255.4, 1e6])
  np.testing.assert_array_equal(
      embedded.digits_to_levels(pixels), [0, 0, 0, 1, 16, 16])


def test_digits_are_the_originals_split_once():
  splits = [embedded.digits(name) for name in ('train', 'test')]
  assert [len(s) for s in splits] == [1500, 297]
  for source in splits:
    chex.assert_shape(source.arrays['image'], (len(source), 8, 8, 1))
    assert source.arrays['image'].dtype == np.uint8
  # As multisets of (pixels, label) the two splits make up the whole set, so
  # they are disjoint, complete, and keep images and labels together.
  levels = np.concatenate([
      embedded.digits_to_levels(s.arrays['image']) for s in splits])
  labels = np.concatenate([s.arrays['label'] for s in splits])
  pixels = np.concatenate([s.arrays['image'] for s in splits])
  np.testing.assert_array_equal(pixels, np.round(255 * levels / 16))
  ours = np.column_stack([levels.reshape(-1, 64), labels])
  original = np.column_stack(load_digits(return_X_y=True))
  np.testing.assert_array_equal(*(
      rows[np.lexsort(rows.T)] for rows in (ours, original)))


def test_digits_are_stratified():
  total = np.bincount(load_digits(return_X_y=True)[1])
  for split, size in (('train', 1500), ('test', 297)):
    count = np.bincount(embedded.digits(split).arrays['label'])
    # Proportional shares, rounded up or down.
    assert np.all(np.abs(count - total * size / 1797) < 1)


def test_digits_is_described_by_its_source():
  described = sources.describe(embedded.digits('test'))
  assert described.shape == (8, 8, 1)
  assert (described.size, described.num_classes) == (297, 10)


def test_binarized_digits_are_white_from_half_of_the_range_on():
  for split in ('train', 'test'):
    grey, binary = embedded.digits(split), embedded.binarized_digits(split)
    levels = embedded.digits_to_levels(grey.arrays['image'])
    np.testing.assert_array_equal(binary.arrays['image'],
                                  np.where(levels >= 8, 255, 0))
    assert binary.arrays['image'].dtype == np.uint8
    np.testing.assert_array_equal(binary.arrays['label'], grey.arrays['label'])
    assert binary.class_names == grey.class_names


def test_patches_are_crops_of_the_photographs():
  crops = embedded.patches(6, size=20, seed=3).arrays['image']
  chex.assert_shape(crops, (6, 20, 20, 3))
  for i, crop in enumerate(crops):
    photograph = load_sample_images().images[i % 2]
    windows = np.lib.stride_tricks.sliding_window_view(
        photograph, (20, 20), (0, 1))
    # Corners first: comparing 200 thousand whole windows is slow.
    start = np.all(photograph[:-19, :-19] == crop[0, 0], -1)
    assert any(np.array_equal(windows[y, x].transpose(1, 2, 0), crop)
               for y, x in np.argwhere(start))


def test_patches_depend_on_the_seed_and_repeat():
  first, again, other = (
      embedded.patches(4, seed=s).arrays['image'] for s in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert not np.array_equal(first, other)


@pytest.mark.parametrize('call, match', [
    (lambda: embedded.digits('valid'), 'digits: split must be one of'),
    (lambda: embedded.patches(0), 'patches: num must be positive'),
    (lambda: embedded.patches(2, size=428), r'size must be in \[1, 427\]'),
    (lambda: embedded.patches(2, seed=-1), 'seed must be non-negative'),
])
def test_embedded_refuses_bad_arguments(call, match):
  with pytest.raises(ValueError, match=match):
    call()
