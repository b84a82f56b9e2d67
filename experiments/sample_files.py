"""Samples of any generator, read from files and checked against the data.

An .npz with `arr_0`, uint8 [N, H, W, C], and where samples have labels
`arr_1`, int [N]: the format that tools for FID read and write. Or a folder of
PNG and JPEG files, one sub-folder a class, by name or number.
"""

import os
import zipfile
import zlib

import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.data import folder
from genjax.data.sources import ArraySource
from genjax.data.sources import Description

_MODES = {1: 'L', 3: 'RGB'}  # 8 bits a channel


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
        f"labels of '{path}' must be in [0, {len(data.class_names)}) like "
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
    raise ValueError(f"--samples: '{path}' must be an .npz file of plain "
                     f'arrays, got {reason}') from error
  check('arr_0' in arrays, '--samples', f"'{path}' must hold arr_0",
        ', '.join(arrays) or 'nothing')
  image, label = arrays['arr_0'], arrays.get('arr_1')
  must = ' x '.join(map(str, data.shape))
  check(image.dtype == np.uint8 and image.shape[1:] == data.shape
        and len(image) > 0, '--samples', f"arr_0 of '{path}' must be uint8 "
        f'N x {must} like the data', f'{image.dtype} {image.shape}')
  if label is not None:
    check(label.dtype.kind in 'iu' and label.shape == image.shape[:1],
          '--samples', f"arr_1 of '{path}' must be {len(image)} whole numbers",
          f'{label.dtype} {label.shape}')
  return image, label


def _read_folder(path, data):
  height, width, channels = data.shape
  check(height == width and channels in _MODES, '--samples',
        'must be an .npz file for data of this shape', data.shape)
  source = folder.folder_source(path, height, channels=channels)
  for file in source.files:  # which the source would crop, scale and convert
    with Image.open(file) as image:
      check((image.size, image.mode) == ((width, height), _MODES[channels]),
            '--samples', f"'{file}' must be {width} x {height} pixels, mode "
            f'{_MODES[channels]}, like the data',
            f'{image.width} x {image.height}, {image.mode}')
  images = np.stack([source[i]['image'] for i in range(len(source))])
  if not source.class_names or not data.class_names:
    return images, None
  known = {name: i for i, name in enumerate(data.class_names)}
  classes = []
  for name in source.class_names:
    check(name in known or name.isdecimal(), '--samples',
          f"'{os.path.join(path, name)}' must be called like a class of the "
          'data, or by its number', repr(name))
    classes.append(known[name] if name in known else int(name))
  return images, np.asarray(classes)[list(source.labels)]
