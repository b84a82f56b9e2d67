"""Samples of any generator, read from files and checked against the data.

An .npz with `arr_0`, uint8 [N, H, W, C], and where samples have labels
`arr_1`, int [N]: the format that tools for FID read and write. Or a folder of
PNG and JPEG files, one sub-folder a class, by name (as `genjax.data.
folder_names` writes it) or number; see `class_numbers`.
"""

import os
from typing import Sequence
import zipfile
import zlib

import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.data import folder
from genjax.data import folder_names
from genjax.data.sources import ArraySource
from genjax.data.sources import Description

_MODES = {1: 'L', 3: 'RGB'}  # 8 bits a channel
_ORIENTATION = 0x0112  # of EXIF; 1 is upright


def class_numbers(
    given: Sequence[str], class_names: Sequence[str]
) -> list[int | None]:
  """The number of each class in `given`; None where it names no class.

  A class is called by its name, or by its number 0, 1, ... But where a class
  has for its name the number of another, only names count, all through: "1"
  must not be the one class here and the other there. A number need not be
  that of a class.
  """
  known = {name: i for i, name in enumerate(class_names)}
  numbers = all(_number(name) in (None, i) for name, i in known.items())
  return [known[name] if name in known else _number(name) if numbers else None
          for name in given]


def _number(name: str) -> int | None:
  """The whole number that `name` is; none has more than 18 digits."""
  ok = name.isascii() and name.isdecimal() and len(name) <= 18
  return int(name) if ok else None


def read_samples(path: str, data: Description) -> ArraySource:
  """The samples at `path`; their labels are left out if data has no classes.

  Raises:
    ValueError: they cannot be read, or are not of the data's size, type and
      classes. The message names the file.
  """
  check(os.path.exists(path), '--samples', 'must be an .npz file or a folder',
        repr(path))
  read = _read_folder if os.path.isdir(path) else _read_npz
  image, label = read(path, data)
  if label is None or not data.class_names:
    return ArraySource({'image': image})
  least, most = label.min(), label.max()
  check(0 <= least and most < len(data.class_names), '--samples',
        f'labels of {path!r} must be in [0, {len(data.class_names)}) like '
        'those of the data', f'{least} to {most}')
  return ArraySource({'image': image, 'label': label.astype(np.int32)},
                     data.class_names)


def _read_npz(path, data):
  try:
    # A torn file that NumPy opens by its name is left open.
    with (open(path, 'rb') as stream,
          np.load(stream, allow_pickle=False) as file):
      arrays = {name: file[name] for name in file}
  # What NumPy raises on other files, torn ones and pickled objects.
  except (ValueError, EOFError, OSError, AttributeError, TypeError,
          zipfile.BadZipFile, zlib.error) as error:
    reason = str(error).splitlines()[0] if str(error) else 'nothing'
    raise ValueError(f'--samples: {path!r} must be an .npz file of plain '
                     f'arrays, got {reason}') from error
  check('arr_0' in arrays, '--samples', f'{path!r} must hold arr_0',
        ', '.join(arrays) or 'nothing')
  image, label = arrays['arr_0'], arrays.get('arr_1')
  must = ' x '.join(map(str, data.shape))
  check(image.dtype == np.uint8 and image.shape[1:] == data.shape
        and len(image) > 0, '--samples', f'arr_0 of {path!r} must be uint8 '
        f'N x {must} like the data', f'{image.dtype} {image.shape}')
  if label is not None:
    check(label.dtype.kind in 'iu' and label.shape == image.shape[:1],
          '--samples', f'arr_1 of {path!r} must be {len(image)} whole numbers',
          f'{label.dtype} {label.shape}')
  return image, label


def _read_folder(path, data):
  height, width, channels = data.shape
  check(height == width and channels in _MODES, '--samples',
        'must be an .npz file for data of this shape', data.shape)
  source = folder.folder_source(path, height, channels=channels)
  # Which the source would crop, scale, convert, turn or lay over white.
  images = np.stack([_as_it_is(file, data.shape) for file in source.files])
  if not source.class_names or not data.class_names:
    return images, None
  # A name that is too long for a folder is known by that of its folder.
  called = [folder_names.from_folder(folder_names.to_folder(name))
            for name in data.class_names]
  classes = class_numbers(source.class_names, called)
  for name, number in zip(source.class_names, classes):
    check(number is not None, '--samples',
          f'{os.sep.join((path, name))!r} must be called like a class of the '
          'data or, where no name is the number of another class, by its '
          'number', repr(name))
  return images, np.asarray(classes, np.int64)[list(source.labels)]


def _as_it_is(file: str, shape: Sequence[int]) -> np.ndarray:
  """The pixels of a picture of `shape`, uint8 [H, W, C], untouched."""
  height, width, channels = shape
  mode = _MODES[channels]
  with Image.open(file) as image:
    check((image.size, image.mode) == ((width, height), mode), '--samples',
          f'{file!r} must be {width} x {height} pixels, mode {mode}, like the '
          'data', f'{image.width} x {image.height}, {image.mode}')
    check(not image.has_transparency_data
          and image.getexif().get(_ORIENTATION, 1) == 1, '--samples',
          f'{file!r} must be upright and opaque', 'another picture')
    return np.array(image).reshape(shape)
