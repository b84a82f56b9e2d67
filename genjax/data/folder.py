"""A folder of PNG and JPEG files as a source."""

import concurrent.futures
import dataclasses
import functools
import math
import operator
import os
import pathlib
from typing import Any, Sequence

from absl import logging
import numpy as np
import tqdm

from genjax.checks import check
from genjax.checks import check_positive
from genjax.data import folder_files
from genjax.data import identity
from genjax.data import image_files
from genjax.data import pixel_cache
from genjax.data import scaled


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
    pixels: uint8 [N, H, W, channels] of all files, or uint16 [N, H, W, 1]; None
      where each is decoded when it is asked for, and nothing is kept in memory.
    scale: Of greys of 16 bits, by which they are {'x': float32 [H, W, 1]} in
      [-1, 1]; None of images of 8 bits.
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
  scale: scaled.Scale | None = None
  labels_path: str = ''
  vectors: np.ndarray | None = dataclasses.field(
      default=None, repr=False, compare=False)
  vector_names: tuple[str, ...] = ()

  def __len__(self) -> int:
    return len(self.files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    index = operator.index(index)
    pixels = image_files.read(self.files[index], self.size, self._form) if (
        self.pixels is None) else self.pixels[index]
    item: dict[str, Any] = {'image': pixels} if self.scale is None else {
        'x': scaled.to_model(self.scale, pixels)}
    if self.labels:
      item['label'] = np.int32(self.labels[index])
    if self.vectors is not None:
      item['vector'] = self.vectors[index]
    return item

  @property
  def _form(self) -> image_files.Form:
    return image_files.Form(self.channels, self.scale is not None)


def folder_source(
    path: str | os.PathLike,
    image_size: int | tuple[int, int],
    *,
    channels: int | None = None,
    bits: int | None = None,
    verify: bool = True,
    cache: float = 0.0,
    labels: str = 'folders',
) -> FolderSource:
  """The images below `path`, as uint8 [H, W, channels] or uint16 [H, W, 1].

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
    bits: of a channel: 8, or 16, which keeps the numbers of greys of 16 bits as
      they are, scaled by the lowest and the highest of all files. None is 16
      where all files are such greys, and channels are not to be more, else 8;
      where files of 16 bits are read at 8, a line in the log says so. Pillow
      has no more than 8 of colours.
    verify: Whether every file is read once now, as it will be in training, so
      that a broken one is found before. Costs an epoch's decoding, and for
      PNG another reading of the bytes.
    cache: GiB of pixels up to which all files are decoded now, unless an
      earlier call has, and kept in memory and in `pixel_cache`. Of more it
      keeps that they could be read, and `verify` does not read them again
      (but of 16 bits, whose lowest and highest are looked for). The source is
      the same with it and without.
    labels: where the classes are from: 'folders', 'prefix' or 'csv:<path>',
      see `folder_labels`.

  Returns:
    A source with `class_names`.

  Raises:
    ValueError: If there is no such folder or no image, if images lie both at
      the top and in sub-folders, if a sub-folder beside others is empty, if
      two of them are one class, if a folder cannot be read or a link leads
      nowhere, if a file is broken or of floating-point numbers, if not all are
      of the 16 bits that are asked for, if all pixels of 16 bits are the same,
      or if `labels` do not fit the files.
  """
  where = 'folder_source'
  size = (image_size if isinstance(image_size, tuple)
          else (image_size, image_size))
  for side in size:
    check_positive(where, 'image_size', side)
  check(channels in (None, 1, 3, 4), where, 'channels must be 1, 3 or 4',
        channels)
  check(bits in (None, 8, 16), where, 'bits must be 8 or 16', bits)
  root = pathlib.Path(path)
  check(root.is_dir(), where, 'path must be an existing folder',
        repr(os.fspath(path)))
  files, labelled = folder_files.find(root, labels)
  channels, pixels, scale = _pixels(root, files, size, channels, bits, verify,
                                    cache)
  return FolderSource(tuple(map(str, files)), labelled.labels,
                      labelled.class_names, size, channels, pixels, scale,
                      labelled.path, labelled.vectors, labelled.vector_names)


def _pixels(
    root: pathlib.Path, files: Sequence[pathlib.Path], size: tuple[int, int],
    channels: int | None, bits: int | None, verify: bool, cache: float
) -> tuple[int, np.ndarray | None, scaled.Scale | None]:
  """Channels of the files, pixels where these fit in `cache`, and scale if any.

  Of files that do not fit the cache keeps no pixel, but that all can be read.
  """
  most, key, shape = int(cache * 2**30), '', (len(files), *size)
  known = None
  if most > 0:
    key = _key_of(root, files, size, channels, bits)
    known = pixel_cache.load(key, shape)
  # Pillow decodes outside the interpreter lock, so threads help; more than
  # processors would only hold more images in memory.
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    if known is not None:
      form = image_files.Form(known.shape[-1], known.dtype == np.uint16)
    elif verify or channels in (None, 1):
      form = _form_of(list(pool.map(image_files.look, files)), root, channels,
                      bits)
    else:
      form = image_files.Form(channels, deep=False)
    kept = (math.prod(shape) * form.channels * np.dtype(form.dtype).itemsize
            <= most)
    if not (kept or form.deep) and (known is not None or not verify):
      return form.channels, None, None
    if known is not None and len(known):
      pixels = ends = known
    else:
      pixels = np.empty((len(files) * kept, *size, form.channels), form.dtype)
      ends = np.empty((len(files), 2), form.dtype)
      read = functools.partial(image_files.verified, size=size, form=form)
      # Silent where there is no terminal.
      for i, image in enumerate(tqdm.tqdm(
          pool.map(read, files), 'reading images', len(files), disable=None)):
        ends[i] = image.min(), image.max()
        if kept:
          pixels[i] = image
      if key:
        pixel_cache.save(key, pixels, most)
  scale = scaled.find_scale(f'folder_source: images of {str(root)!r}',
                            ends) if form.deep else None
  return form.channels, pixels if kept else None, scale


def _key_of(
    root: pathlib.Path, files: Sequence[pathlib.Path], size: tuple[int, int],
    channels: int | None, bits: int | None
) -> str:
  try:
    known = identity.read_files(map(str, files))
  except OSError as error:
    raise ValueError(image_files.broken(error.filename, error)) from error
  return pixel_cache.key_of([os.path.relpath(f, root) for f in files], known,
                            size, channels, bits)


def _form_of(
    kinds: Sequence[image_files.Kind], root: pathlib.Path,
    channels: int | None, bits: int | None
) -> image_files.Form:
  """What files are decoded to, and a line in the log on what they lose by it.

  Raises:
    ValueError: not all have the bits that are asked for.
  """
  num, grey, deep = len(kinds), *(sum(kind) for kind in zip(*kinds))
  if channels is None:
    if 0 < grey < num:
      logging.warning('folder_source: %d of %d images of %r are grey and will '
                      'be read as RGB, like the others', grey, num, str(root))
    channels = 1 if grey == num else 3
  whole = channels == 1 and all(kind.grey and kind.deep for kind in kinds)
  check(bits != 16 or whole, 'folder_source', f'images of {str(root)!r} must '
        'all be grey, opaque and of 16 bits to be read at 16 bits',
        f'{deep} of {num} of 16 bits, {grey} grey and opaque, to be read in '
        f'{channels} channels')
  if deep and (bits == 8 or not whole):
    logging.warning('folder_source: %d of %d images of %r have 16 bits a '
                    'channel and are read at 8; 16 are kept where all are grey '
                    'and opaque', deep, num, str(root))
  return image_files.Form(channels, whole and bits != 8)
