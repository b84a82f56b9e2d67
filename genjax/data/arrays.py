"""One array in an .npy file as a source, read where it lies."""

import os

import numpy as np

from genjax.checks import check
from genjax.data.sources import ArraySource


def npy_source(path: str | os.PathLike) -> ArraySource:
  """The rows of the array that numpy.save wrote to `path`.

  The file is mapped into memory: rows are read when they are asked for.

  Args:
    path: of the file. uint8 [N, H, W] or [N, H, W, 1, 3 or 4] are images, grey,
      RGB, or RGB and opacity; floating-point [N, D] are points, in float32.

  Returns:
    A source without labels.

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
  check(array.size > 0 and (image or (
      array.dtype.kind == 'f' and array.ndim == 2)), where,
      f'{shown} must hold uint8 [N, H, W] or [N, H, W, 1, 3 or 4], images, or '
      'floating-point [N, D], points', f'{array.dtype} {array.shape}')
  return ArraySource({'image' if image else 'x': array})
