"""One array in an .npy file as a source, read where it lies."""

import os

from absl import logging
import numpy as np

from genjax.checks import check
from genjax.data import scaled
from genjax.data.sources import ArraySource
from genjax.types import Source

_MANY = 4  # channels; a signal of more may have been meant for grey images


def npy_source(path: str | os.PathLike) -> Source:
  """The rows of the array that numpy.save wrote to `path`.

  The file is mapped into memory: rows are read when they are asked for.

  Args:
    path: of the file. uint8 [N, H, W] or [N, H, W, 1, 3 or 4] are images, grey,
      RGB, or RGB and opacity; floating-point [N, D] are points, in float32.
      Other numbers, see `scaled.TYPES`, are images [N, H, W, C] or signals [N,
      L, C], of any number of channels.

  Returns:
    A source without labels: a `ScaledSource` of other numbers, whose scale is
    that of the whole array, so that it does not depend on what is held out.

  Raises:
    ValueError: If there is no such file, or no such array in it.
  """
  where, shown = 'npy_source', repr(os.fspath(path))
  # A pipe would be waited for.
  check(os.path.isfile(path), where, 'path must be an existing .npy file',
        shown)
  try:
    array = np.load(path, mmap_mode='r', allow_pickle=False)
  except Exception as error:  # of many types, on what is no array
    reason = (str(error) or type(error).__name__).splitlines()[0]
    raise ValueError(f'{where}: {shown} must be an .npy file of plain numbers, '
                     f'got {reason}') from error
  check(isinstance(array, np.ndarray), where, f'{shown} must be an .npy file',
        'an .npz archive')
  if array.dtype == np.uint8 and array.ndim == 3:
    array = array[..., None]
  image = (array.dtype == np.uint8 and array.ndim == 4
           and array.shape[-1] in (1, 3, 4))
  points = array.dtype.kind == 'f' and array.ndim == 2
  other = array.dtype.name in scaled.TYPES and array.ndim in (3, 4)
  check(array.size > 0 and (image or points or other), where,
        f'{shown} must hold uint8 [N, H, W] or [N, H, W, 1, 3 or 4], images; '
        f'{", ".join(scaled.TYPES)} [N, H, W, C], images, or [N, L, C], '
        'signals; or floating-point [N, D], points',
        f'{array.dtype} {array.shape}')
  if not other:
    return ArraySource({'image' if image else 'x': array})
  if array.ndim == 3 and array.shape[-1] > _MANY:
    logging.warning('%s is read as %d signals of length %d, each of %d '
                    'channels; grey images want the shape [N, H, W, 1]', shown,
                    *array.shape)
  return scaled.ScaledSource(
      array, scaled.find_scale(f'{where}: {shown}', array))
