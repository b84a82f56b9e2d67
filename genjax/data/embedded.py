"""Real images that travel inside a dependency: nothing to download."""

import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.checks import check_in_range
from genjax.checks import check_positive
from genjax.data.sources import ArraySource

# The split of every table in the documentation.
_TRAIN_SIZE, _TEST_SIZE = 1500, 297


def digits(split: str) -> ArraySource:
  """Real handwritten digits, grey levels 0..16 stored as round(255 k / 16).

  The 1797 8x8 images of the UCI optical recognition of handwritten digits
  set (Alpaydin & Kaynak 1998, https://doi.org/10.24432/C50P49), as scikit-
  learn ships them, split stratified by class.

  Args:
    split: 'train' (1500) or 'test' (297).

  Returns:
    'image' uint8 [N, 8, 8, 1] and 'label' int32 [N], 10 classes.

  Raises:
    ValueError: If `split` is another.
  """
  check_choice('digits', 'split', split, ('train', 'test'))
  # Half a second, which only those who use it should pay for.
  from sklearn.datasets import load_digits
  from sklearn.model_selection import train_test_split

  levels, labels = load_digits(return_X_y=True)
  train_x, test_x, train_y, test_y = train_test_split(
      levels, labels, train_size=_TRAIN_SIZE, test_size=_TEST_SIZE,
      random_state=0, stratify=labels)
  x, y = (train_x, train_y) if split == 'train' else (test_x, test_y)
  image = np.round(x * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
  names = tuple(str(digit) for digit in range(10))
  return ArraySource({'image': image, 'label': y.astype(np.int32)}, names)


def binarized_digits(split: str) -> ArraySource:
  """The images of `digits` in black and white: 255 from half of the range on.

  Args:
    split: as of `digits`.

  Returns:
    'image' uint8 [N, 8, 8, 1], 0 or 255, and 'label' int32 [N], 10 classes.

  Raises:
    ValueError: If `split` is another.
  """
  source = digits(split)
  image = np.where(source.arrays['image'] < 128, 0, 255).astype(np.uint8)
  return ArraySource({**source.arrays, 'image': image}, source.class_names)


def digits_to_levels(image: np.ndarray) -> np.ndarray:
  """Grey levels 0..16 (float32, whole numbers) of pixels in 0..255.

  Inverts the storage of `digits` exactly; other pixels go to the nearest
  level, and those outside 0..255 to the ends.
  """
  levels = np.asarray(image, np.float32) * np.float32(16 / 255)
  return np.clip(np.round(levels), 0, 16)


def patches(num: int, size: int = 32, seed: int = 0) -> ArraySource:
  """Square crops of two colour photographs, as uint8, without labels.

  The photographs (427 x 640: a temple in China, a flower) are those of
  `sklearn.datasets.load_sample_images`. Corners are uniform over all places
  where the crop fits; crops may overlap.

  Args:
    num: Number of crops, taken from the two photographs in turn.
    size: Side of a crop in pixels, at most 427.
    seed: Of the places.

  Returns:
    'image' uint8 [num, size, size, 3].

  Raises:
    ValueError: If `num` or `size` is out of range.
  """
  check_positive('patches', 'num', num)
  check_in_range('patches', 'size', size, 1, 427)
  check(seed >= 0, 'patches', 'seed must be non-negative', seed)
  from sklearn.datasets import load_sample_images

  photographs = load_sample_images().images
  rng = np.random.Generator(np.random.Philox(seed))
  crops = np.empty((num, size, size, 3), np.uint8)
  for i in range(num):
    photograph = photographs[i % len(photographs)]
    top = rng.integers(photograph.shape[0] - size + 1)
    left = rng.integers(photograph.shape[1] - size + 1)
    crops[i] = photograph[top:top + size, left:left + size]
  return ArraySource({'image': crops})
