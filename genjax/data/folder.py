"""A folder of PNG and JPEG files as a source."""

import concurrent.futures
import dataclasses
import functools
import math
import operator
import os
import pathlib
import stat
from typing import Any, Sequence

from absl import logging
import numpy as np
from PIL import Image
from PIL import ImageOps
import tqdm

from genjax.checks import check
from genjax.checks import check_positive
from genjax.data import folder_files
from genjax.data import identity
from genjax.data import pixel_cache

_MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}
_GREY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L')


@dataclasses.dataclass(frozen=True)
class FolderSource:
  """Images decoded when asked for, or once and for all: random access.

  Attributes:
    files: The paths, in order of sub-folder and name.
    labels: int [N], the position of each file's class in `class_names`; empty
      without classes.
    class_names: Sorted names of the classes; those of sub-folders as
      `folder_names` has them; empty without classes.
    size: Height and width of the images in pixels.
    channels: 1 (grey), 3 (RGB) or 4 (RGB and opacity).
    pixels: uint8 [N, H, W, channels] of all files; None where each is decoded
      when it is asked for, and nothing is kept in memory.
    labels_path: Of the file that says the classes; empty where the paths do.
    vectors: Numbers that it says of each image, float32 [N, V]; None for none.
    vector_names: Of these V numbers.
  """

  files: tuple[str, ...]
  labels: tuple[int, ...]
  class_names: tuple[str, ...]
  size: tuple[int, int]
  channels: int
  pixels: np.ndarray | None = dataclasses.field(
      default=None, repr=False, compare=False)
  labels_path: str = ''
  vectors: np.ndarray | None = dataclasses.field(
      default=None, repr=False, compare=False)
  vector_names: tuple[str, ...] = ()

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    index = operator.index(index)
    pixels = _read(self.files[index], self.size, self.channels) if (
        self.pixels is None) else self.pixels[index]
    item: dict[str, Any] = {'image': pixels}
    if self.labels:
      item['label'] = np.int32(self.labels[index])
    if self.vectors is not None:
      item['vector'] = self.vectors[index]
    return item


def folder_source(
    path: str | os.PathLike,
    image_size: int | tuple[int, int],
    *,
    channels: int | None = None,
    verify: bool = True,
    cache: float = 0.0,
    labels: str = 'folders',
) -> FolderSource:
  """The images below `path`, as uint8 [H, W, channels].

  Files directly in `path` have no label; files in sub-folders (at any depth)
  have the first-level sub-folder as class, unless `labels` says otherwise;
  classes are in order of name. Links are followed, but for one back to a
  folder that it is in. What is hidden or a system's own
  (`folder_names.is_hidden`) is no image and no class. Files other than .png,
  .jpg and .jpeg (any case) are left out, and a line in the log says which.

  Args:
    path: The folder.
    image_size: Height and width of the images in pixels, or the side of square
      ones; see `fit`.
    channels: 1 for grey, 3 for RGB, 4 for RGB and opacity, whatever the files
      hold; None is 1 where all files are grey and opaque, else 3. Where only
      some are, a line in the log says so.
    verify: Whether every file is read once now, as it will be in training, so
      that a broken one is found before. Costs an epoch's decoding, and for
      PNG another reading of the bytes.
    cache: GiB of pixels up to which all files are decoded now, unless an
      earlier call has, and kept in memory and in `pixel_cache`. Of more it
      keeps that they could be read, and `verify` does not read them again. The
      source is the same with it and without.
    labels: where the classes are from: 'folders', 'prefix' or 'csv:<path>',
      see `folder_labels`.

  Returns:
    A source with `class_names`.

  Raises:
    ValueError: If there is no such folder or no image, if images lie both at
      the top and in sub-folders, if a sub-folder beside others is empty, if
      two of them are one class, if a folder cannot be read or a link leads
      nowhere, if a file is broken, or if `labels` do not fit the files.
  """
  where = 'folder_source'
  size = (image_size if isinstance(image_size, tuple)
          else (image_size, image_size))
  for side in size:
    check_positive(where, 'image_size', side)
  check(channels in (None, 1, 3, 4), where, 'channels must be 1, 3 or 4',
        channels)
  root = pathlib.Path(path)
  check(root.is_dir(), where, 'path must be an existing folder',
        repr(os.fspath(path)))
  files, labelled = folder_files.find(root, labels)
  channels, pixels = _pixels(root, files, size, channels, verify, cache)
  return FolderSource(tuple(map(str, files)), labelled.labels,
                      labelled.class_names, size, channels, pixels,
                      labelled.path, labelled.vectors, labelled.vector_names)


def _pixels(
    root: pathlib.Path, files: Sequence[pathlib.Path], size: tuple[int, int],
    channels: int | None, verify: bool, cache: float
) -> tuple[int, np.ndarray | None]:
  """The channels of the files, and their pixels where these fit in `cache`.

  Of files that do not fit the cache keeps no pixel, but that all can be read.
  """
  most, key, shape = int(cache * 2**30), '', (len(files), *size)
  if most > 0:
    key = _key_of(root, files, size, channels)
    known = pixel_cache.load(key, shape)
    if known is not None:
      channels = known.shape[-1]
      if math.prod(shape) * channels > most:
        return channels, None
      if len(known):
        return channels, known
  # Pillow decodes outside the interpreter lock, so threads help; more than
  # processors would only hold more images in memory.
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    if channels is None:
      channels = _channels(list(pool.map(_is_grey, files)), root)
    kept = math.prod(shape) * channels <= most
    if not (kept or verify):
      return channels, None
    pixels = np.empty((len(files) * kept, *size, channels), np.uint8)
    read = functools.partial(_verified, size=size, channels=channels)
    # Silent where there is no terminal.
    for i, image in enumerate(tqdm.tqdm(
        pool.map(read, files), 'reading images', len(files), disable=None)):
      if kept:
        pixels[i] = image
  if key:
    pixel_cache.save(key, pixels, most)
  return channels, pixels if kept else None


def _key_of(
    root: pathlib.Path, files: Sequence[pathlib.Path], size: tuple[int, int],
    channels: int | None
) -> str:
  try:
    known = identity.read_files(map(str, files))
  except OSError as error:
    raise ValueError(_broken(error.filename, error)) from error
  return pixel_cache.key_of([os.path.relpath(f, root) for f in files], known,
                            size, channels)


def _channels(grey: Sequence[bool], root: pathlib.Path) -> int:
  """1 where all images are grey, else 3."""
  if not all(grey) and any(grey):
    logging.warning('folder_source: %d of %d images of %r are grey and will be '
                    'read as RGB, like the others', sum(grey), len(grey),
                    str(root))
  return 1 if all(grey) else 3


def fit(
    image: Image.Image, size: tuple[int, int], channels: int
) -> np.ndarray:
  """uint8 [H, W, channels] of size (H, W): the middle, cut out and resampled.

  The camera's orientation is honoured, the side that is too long is cropped
  evenly, and the rest is resampled by Lanczos' filter, widened when it shrinks
  (so that nothing aliases). An image of this size is left as it is. 16-bit
  greys keep their upper 8 bits. Transparent parts are laid over white, but for
  4 channels, of which the last is the opacity; what is behind a fully
  transparent pixel is white there.
  """
  # How the file packs its samples is known until it is unpacked.
  packed = [tile[3] for tile in getattr(image, 'tile', ())]
  # A large JPEG is decoded at a fraction of its size, never below four times
  # what is asked for: much faster, and the filter still does the last step.
  height, width = size
  image.draft(None, (4 * width, 4 * height))
  image = _in_8_bits(ImageOps.exif_transpose(image), packed)
  if image.has_transparency_data and channels != 4:
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, 'white')
    image = Image.alpha_composite(white, image)
  image = image.convert(_MODES[channels])
  image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
  pixels = np.array(image, np.uint8).reshape(height, width, channels)
  if channels == 4:
    pixels[pixels[..., 3] == 0] = 255, 255, 255, 0
  return pixels


def _in_8_bits(image: Image.Image, packed: Sequence[Any]) -> Image.Image:
  """The image, and the colour that is transparent in it, in 8 bits a channel.

  PNG writes this colour in the file's own depth (tRNS, section 11.3.2.1 of its
  third edition), and Pillow leaves it there while it scales the pixels.
  """
  clear = image.info.get('transparency')
  if image.mode.startswith('I'):
    levels = np.asarray(image)
    image = Image.fromarray((levels >> 8).astype(np.uint8))
    if clear is not None:  # one of the 65536 levels, not of the 256
      image.putalpha(Image.fromarray(
          np.where(levels == clear, 0, 255).astype(np.uint8)))
  elif clear is not None and 'L;2' in packed:
    image.info['transparency'] = clear * 85
  elif clear is not None and 'L;4' in packed:
    image.info['transparency'] = clear * 17
  elif clear is not None and 'RGB;16B' in packed:
    # Of these Pillow has kept the upper 8 bits only.
    image.info['transparency'] = tuple(level >> 8 for level in clear)
  return image


def _read(path: str, size: tuple[int, int], channels: int) -> np.ndarray:
  """`fit` of the file; ValueError, in one line, if there is none."""
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise OSError('no regular file')  # a pipe would be waited for
    with Image.open(path) as image:
      return fit(image, size, channels)
  except Exception as error:  # of almost any type, on what is half an image
    raise ValueError(_broken(path, error)) from error


def _is_grey(path: pathlib.Path) -> bool:
  """Whether the image is grey and opaque; its header says so.

  Raises:
    ValueError: one line, unless it can be read.
  """
  try:
    with Image.open(path) as image:
      return image.mode in _GREY and not image.has_transparency_data
  except Exception as error:
    raise ValueError(_broken(path, error)) from error


def _verified(
    path: pathlib.Path, size: tuple[int, int], channels: int
) -> np.ndarray:
  """`_read`, after the checksums of a PNG, which unpacking passes over."""
  try:
    with Image.open(path) as image:
      if image.format == 'PNG':
        image.verify()
  except Exception as error:
    raise ValueError(_broken(path, error)) from error
  return _read(str(path), size, channels)


def _broken(path: str | os.PathLike, error: Exception) -> str:
  reason = str(error).splitlines()[0] if str(error) else type(error).__name__
  return ('folder_source: images must be readable: repair or remove '
          f'{os.fspath(path)!r}, got {reason}')
