"""A folder of PNG and JPEG files as a source; sub-folder = class."""

import concurrent.futures
import dataclasses
import operator
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image
from PIL import ImageOps

from genjax.checks import check
from genjax.checks import check_positive

_SUFFIXES = ('.png', '.jpg', '.jpeg')
# What Pillow raises on files that are not, or not wholly, images.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError,
               Image.DecompressionBombError)


@dataclasses.dataclass(frozen=True)
class FolderSource:
  """Images decoded when asked for: random access, nothing kept in memory.

  Attributes:
    files: The paths, ordered by class and name.
    labels: int [N], the position of each file's class in `class_names`; empty
      without classes.
    class_names: Sorted names of the sub-folders; empty without classes.
    image_size: Side of the square images in pixels.
    channels: 3 (RGB) or 1 (grey).
  """

  files: tuple[str, ...]
  labels: tuple[int, ...]
  class_names: tuple[str, ...]
  image_size: int
  channels: int

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    index = operator.index(index)
    path = self.files[index]
    try:
      with Image.open(path) as image:
        pixels = square(image, self.image_size, self.channels)
    except _UNREADABLE as error:
      raise ValueError(_broken(path, error)) from error
    if not self.labels:
      return {'image': pixels}
    return {'image': pixels, 'label': np.int32(self.labels[index])}


def folder_source(
    path: str | os.PathLike,
    image_size: int,
    *,
    channels: int = 3,
    verify: bool = True,
) -> FolderSource:
  """The images below `path`, as uint8 [image_size, image_size, channels].

  Files directly in `path` have no label; files in sub-folders (at any depth)
  have the first-level sub-folder as class, classes in order of name. Hidden
  files and files other than .png, .jpg and .jpeg (any case) are ignored.

  Args:
    path: The folder.
    image_size: Side of the images in pixels; see `square`.
    channels: 3 for RGB, 1 for grey, whatever the files hold.
    verify: Whether every file is read once now, so that a broken one is
      found before training. Costs at most an epoch's decoding.

  Returns:
    A source with `class_names`.

  Raises:
    ValueError: If there is no such folder or no image, if images lie both at
      the top and in sub-folders, if a sub-folder beside others is empty, or
      if a file is broken.
  """
  where = 'folder_source'
  check_positive(where, 'image_size', image_size)
  check(channels in (1, 3), where, 'channels must be 1 or 3', channels)
  root = pathlib.Path(path)
  check(root.is_dir(), where, 'path must be an existing folder', f"'{path}'")
  top = [p for p in _visible(root) if _is_image(p)]
  classes = {p.name: _images_below(p) for p in _visible(root) if p.is_dir()}
  filled = [name for name, files in classes.items() if files]
  check(bool(top or filled), where,
        f"'{path}' must hold {', '.join(_SUFFIXES)} files, directly or in one "
        'sub-folder a class', 'none')
  check(not (top and filled), where,
        f"'{path}' must hold images either directly (no classes) or in "
        'sub-folders (classes): move them',
        f'{len(top)} beside the sub-folders {", ".join(filled)}')
  empty = [name for name in classes if filled and name not in filled]
  check(not empty, where, f"every sub-folder of '{path}' must hold images: "
        'remove the others', f'none in {", ".join(empty)}')

  files = top + [f for name in filled for f in classes[name]]
  labels = [i for i, name in enumerate(filled) for _ in classes[name]]
  if verify:
    # Pillow decodes outside the interpreter lock, so threads help.
    with concurrent.futures.ThreadPoolExecutor() as pool:
      for message in pool.map(_fault, files, chunksize=64):
        if message:
          raise ValueError(message)
  return FolderSource(tuple(map(str, files)), tuple(labels), tuple(filled),
                      image_size, channels)


def square(image: Image.Image, image_size: int, channels: int) -> np.ndarray:
  """uint8 [image_size, image_size, channels]: centre square, resampled.

  The camera's orientation is honoured, the longer side is cropped evenly, and
  the rest is resampled by Lanczos' filter, widened when it shrinks (so that
  nothing aliases). An image of this size is left as it is. Transparent parts
  are laid over white; 16-bit greys keep their upper 8 bits.
  """
  # A large JPEG is decoded at a fraction of its size, never below four times
  # what is asked for: much faster, and the filter still does the last step.
  image.draft(None, (4 * image_size, 4 * image_size))
  image = ImageOps.exif_transpose(image)
  if image.mode.startswith('I'):
    image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
  if image.has_transparency_data:
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image)
  image = image.convert('RGB' if channels == 3 else 'L')
  image = ImageOps.fit(image, (image_size, image_size),
                       Image.Resampling.LANCZOS)
  return np.array(image, np.uint8).reshape(image_size, image_size, channels)


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(p for p in folder.iterdir() if not p.name.startswith('.'))


def _is_image(path: pathlib.Path) -> bool:
  return path.suffix.lower() in _SUFFIXES and path.is_file()


def _images_below(folder: pathlib.Path) -> list[pathlib.Path]:
  below = (p for p in folder.rglob('*') if _is_image(p))
  return sorted(p for p in below if not any(
      part.startswith('.') for part in p.relative_to(folder).parts))


def _fault(path: pathlib.Path) -> str | None:
  """What is wrong with the file, in one line, or None."""
  try:
    with Image.open(path) as image:
      if image.format == 'PNG':
        image.verify()  # checksums, without unpacking
      else:
        image.draft(None, (1, 1))  # the whole stream, at 1/8 of the size
        image.load()
  except _UNREADABLE as error:
    return _broken(path, error)
  return None


def _broken(path: str | os.PathLike, error: Exception) -> str:
  reason = str(error).splitlines()[0] if str(error) else type(error).__name__
  return (f"folder_source: images must be readable: repair or remove '{path}',"
          f' got {reason}')
