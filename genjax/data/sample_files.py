"""Samples of any generator in files: written, and read and checked.

An .npz with `arr_0`, uint8 [N, H, W, C], and where samples have labels
`arr_1`, int [N]: the format that tools for FID read and write. Or a folder of
PNG and JPEG files, one sub-folder a class, by name (as `genjax.data.
folder_names` writes it) or number; see `class_numbers`. What is scaled (see
`genjax.data.scaled`) has its own numbers in `arr_0`, and is read from there
alone, but for greys of 16 bits, which PNG files hold as they are.
"""

import math
import os
from typing import Sequence
import zipfile

import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.data import folder
from genjax.data import folder_names
from genjax.data.scaled import Scale
from genjax.data.scaled import to_model
from genjax.data.sources import ArraySource
from genjax.data.sources import Description
from genjax.files import write_whole
from genjax.types import Source

_FLOATS = 'floating-point'  # of any width: the numbers are the same
_MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}  # 8 bits a channel
_MOST_BYTES = 2**32  # of samples in memory; more is a trap or a slip
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


def write_samples(
    out: str, x: np.ndarray, label: np.ndarray | None,
    class_names: Sequence[str]
) -> None:
  """Writes images uint8 [N, H, W, C], or any numbers [N, ...] into an .npz.

  In a folder of pictures the sub-folders are called like the classes, as
  `genjax.data.folder_names` writes it: nothing is written elsewhere, whatever
  the names.

  Args:
    out: an .npz file, written whole or not at all, or a folder.
    x: the samples; in a folder uint16 [N, H, W, 1] are grey at 16 bits.
    label: int [N], or None.
    class_names: of the labels.

  Raises:
    ValueError: labels without a name, or names that a folder cannot tell
      apart.
  """
  if out.endswith('.npz'):
    arrays = [x] if label is None else [x, np.asarray(label, np.int64)]
    os.makedirs(os.path.dirname(out) or '.', exist_ok=True)
    write_whole(out, lambda partial: np.savez(partial, *arrays))
    return
  os.makedirs(out, exist_ok=True)
  folders = {} if label is None else class_folders(out, label, class_names)
  for number, image in enumerate(x):
    into = out if label is None else folders[int(label[number])]
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    write_whole(os.path.join(into, f'{number:06d}.png'), picture.save)


def class_folders(
    out: str, label: np.ndarray, class_names: Sequence[str]
) -> dict[int, str]:
  """Makes the folder of every class in `label`, directly below `out`.

  Raises:
    ValueError: see `write_samples`.
  """
  classes = np.unique(label).tolist()
  check(len(set(class_names)) == len(class_names), 'out',
        'classes must have different names', list(class_names))
  check(not classes or 0 <= classes[0] and classes[-1] < len(class_names),
        'out', f'labels must be in [0, {len(class_names)})', classes)
  folders = {
      k: os.path.join(out, folder_names.to_folder(class_names[k]))
      for k in classes}
  for path in folders.values():
    os.makedirs(path, exist_ok=True)
  # Not so where a file system takes "A" for "a".
  apart = {(s.st_dev, s.st_ino) for s in map(os.stat, folders.values())}
  check(len(apart) == len(folders), 'out', 'must be an .npz file where the '
        'file system takes names of classes for one', list(folders.values()))
  return folders


def read_samples(
    path: str, data: Description, scale: Scale | None = None
) -> Source:
  """The samples at `path`; their labels are left out if data has no classes.

  Args:
    path: an .npz file or a folder.
    data: what they are to be like.
    scale: of the data, where these are scaled: then the samples are too.

  Raises:
    ValueError: they cannot be read, or are not of the data's size, type and
      classes. The message names the file.
  """
  check(os.path.exists(path), 'samples', 'must be an .npz file or a folder',
        repr(path))
  must = 'uint8' if scale is None else (
      _FLOATS if scale.num_levels is None else scale.type)
  read = _read_folder if os.path.isdir(path) else _read_npz
  values, label = read(path, data, must)
  check(bool(np.isfinite(values).all()), 'samples',
        f'arr_0 of {path!r} must be finite', 'NaN or infinity')
  if label is not None and data.class_names:
    least, most = label.min(), label.max()
    check(0 <= least and most < len(data.class_names), 'samples',
          f'labels of {path!r} must be in [0, {len(data.class_names)}) like '
          'those of the data', f'{least} to {most}')
  return as_source(values, label, data.class_names, scale)


def as_source(
    x: np.ndarray, label: np.ndarray | None, class_names: Sequence[str],
    scale: Scale | None
) -> Source:
  """Samples in memory, as data are.

  Args:
    x: [N, ...], bytes or, where there is a scale, numbers of its type.
    label: int [N], or None.
    class_names: of the labels; without any, these are left out.
    scale: of the data.
  """
  columns = {'image': x} if scale is None else {'x': to_model(scale, x)}
  if label is None or not class_names:
    return ArraySource(columns)
  return ArraySource({**columns, 'label': label.astype(np.int32)},
                     tuple(class_names))


def _read_npz(path, data, must):
  # A pipe would be waited for.
  check(os.path.isfile(path), 'samples', f'{path!r} must be a regular file',
        'another kind')
  # First what the arrays are, which tells whether they can be read at all.
  found, names = _from_npz(path, _header)
  check('arr_0' in found, 'samples', f'{path!r} must hold arr_0',
        ', '.join(names) or 'nothing')
  shape, dtype = found['arr_0']
  fits = dtype.kind == 'f' if must == _FLOATS else dtype.name == must
  check(fits and shape[1:] == data.shape and shape[0] > 0, 'samples',
        f'arr_0 of {path!r} must be {must} N x '
        f'{" x ".join(map(str, data.shape))} like the data',
        f'{dtype} {shape}')
  check(dtype.itemsize * math.prod(shape) <= _MOST_BYTES, 'samples',
        f'arr_0 of {path!r} must be of {_MOST_BYTES} bytes at most', shape)
  if 'arr_1' in found:
    of_labels, dtype = found['arr_1']
    check(dtype.kind in 'iu' and of_labels == shape[:1], 'samples',
          f'arr_1 of {path!r} must be {shape[0]} whole numbers',
          f'{dtype} {of_labels}')
  arrays, _ = _from_npz(path, lambda stream: np.lib.format.read_array(
      stream, allow_pickle=False))
  return arrays['arr_0'], arrays.get('arr_1')


def _from_npz(path, read):
  """What `read` makes of arr_0 and arr_1 if they are there, and all names."""
  try:
    with zipfile.ZipFile(path) as archive:
      names = [name.removesuffix('.npy') for name in archive.namelist()]
      found = {}
      for name in {'arr_0', 'arr_1'}.intersection(names):
        with archive.open(f'{name}.npy') as stream:
          found[name] = read(stream)
      return found, names
  except Exception as error:  # of almost any type, on what is no archive
    reason = str(error).splitlines()[0] if str(error) else 'nothing'
    raise ValueError(f'samples: {path!r} must be an .npz file of plain '
                     f'arrays, got {reason}') from error


def _header(stream):
  """(shape, dtype) of the array in an .npy file; its values are not read."""
  version = np.lib.format.read_magic(stream)
  read = {(1, 0): np.lib.format.read_array_header_1_0,
          (2, 0): np.lib.format.read_array_header_2_0}
  check(version in read, 'header', 'version must be 1 or 2', version)
  shape, _, dtype = read[version](stream)
  check(not dtype.hasobject, 'header', 'it must hold no objects, which only '
        'allow_pickle would read', dtype)
  return shape, dtype


def _read_folder(path, data, must):
  deep = must == 'uint16' and data.shape[2:] == (1,)
  check(deep or must == 'uint8', 'samples', 'must be an .npz file where the '
        f'data are {must}', repr(path))
  height, width, channels = data.shape
  check(channels in _MODES, 'samples',
        'must be an .npz file for data of this shape', data.shape)
  source = folder.folder_source(path, (height, width), channels=channels,
                                bits=16 if deep else 8)
  # Which the source would crop, scale, convert, turn or lay over white.
  images = np.stack([_as_it_is(file, data.shape, deep)
                     for file in source.files])
  if not source.class_names or not data.class_names:
    return images, None
  # A name that is too long for a folder is known by that of its folder.
  called = [folder_names.from_folder(folder_names.to_folder(name))
            for name in data.class_names]
  classes = class_numbers(source.class_names, called)
  for name, number in zip(source.class_names, classes):
    check(number is not None, 'samples',
          f'{os.sep.join((path, name))!r} must be called like a class of the '
          'data or, where no name is the number of another class, by its '
          'number', repr(name))
  return images, np.asarray(classes, np.int64)[list(source.labels)]


def _as_it_is(file: str, shape: Sequence[int], deep: bool) -> np.ndarray:
  """The pixels of a picture of `shape` [H, W, C], uint8 or uint16, untouched.
  """
  height, width, channels = shape
  mode = 'I;16' if deep else _MODES[channels]
  with Image.open(file) as image:
    check((image.size, image.mode) == ((width, height), mode), 'samples',
          f'{file!r} must be {width} x {height} pixels, mode {mode}, like the '
          'data', f'{image.width} x {image.height}, {image.mode}')
    check((channels == 4 or not image.has_transparency_data)
          and image.getexif().get(_ORIENTATION, 1) == 1, 'samples',
          f'{file!r} must be upright and opaque', 'another picture')
    return np.array(image).reshape(shape)
