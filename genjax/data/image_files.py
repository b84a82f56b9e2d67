"""PNG and JPEG files, decoded to pixels of some size and number of bits."""

import os
import pathlib
import stat
from typing import Any, NamedTuple, Sequence

import numpy as np
from PIL import Image
from PIL import ImageOps

_MODES = {1: 'L', 3: 'RGB', 4: 'RGBA'}
_GREY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L')  # I: of 16 bits in a PNG


class Form(NamedTuple):
  """What the images of a folder are decoded to."""

  channels: int
  deep: bool  # of 16 bits a channel, not of 8

  @property
  def dtype(self) -> type:
    return np.uint16 if self.deep else np.uint8


class Kind(NamedTuple):
  """What the header of a file says."""

  grey: bool  # and opaque
  deep: bool  # of 16 bits a channel


def fit(
    image: Image.Image, size: tuple[int, int], channels: int
) -> np.ndarray:
  """uint8 [H, W, channels] of size (H, W): the middle, cut out and resampled.

  The camera's orientation is honoured, the side that is too long is cropped
  evenly, and the rest is resampled by Lanczos' filter, widened when it shrinks
  (so that nothing aliases). An image of this size is left as it is. 16-bit
  greys keep their upper 8 bits, but see `fit_deep`. Transparent parts are laid
  over white, but for 4 channels, of which the last is the opacity; what is
  behind a fully transparent pixel is white there.
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
  if image.mode == 'F':
    raise ValueError('floating-point numbers, which an .npy file may hold')
  image = image.convert(_MODES[channels])
  image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
  pixels = np.array(image, np.uint8).reshape(height, width, channels)
  if channels == 4:
    pixels[pixels[..., 3] == 0] = 255, 255, 255, 0
  return pixels


def fit_deep(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
  """uint16 [H, W, 1] of size (H, W): `fit`, of a grey of 16 bits.

  An image of this size keeps its numbers. Others are resampled in float32,
  rounded, and stay within their own darkest and brightest.
  """
  height, width = size
  upright = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32)
  values = np.asarray(ImageOps.fit(Image.fromarray(upright), (width, height),
                                   Image.Resampling.LANCZOS))
  # The filter swings beyond the darkest and the brightest at edges.
  return np.clip(np.round(values), upright.min(), upright.max()).astype(
      np.uint16)[..., None]


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


def read(path: str, size: tuple[int, int], form: Form) -> np.ndarray:
  """What the file is decoded to; ValueError, in one line, if it is none."""
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise OSError('no regular file')  # a pipe would be waited for
    with Image.open(path) as image:
      return (fit_deep(image, size) if form.deep
              else fit(image, size, form.channels))
  except Exception as error:  # of almost any type, on what is half an image
    raise ValueError(broken(path, error)) from error


def look(path: pathlib.Path) -> Kind:
  """What the header of a file says.

  Raises:
    ValueError: one line, unless it can be read.
  """
  try:
    with Image.open(path) as image:
      # Colours of 16 bits are packed so in the file, and have 8 in memory.
      deep = image.mode.startswith('I') or any(
          ';16' in str(tile[3]) for tile in image.tile)
      return Kind(image.mode in _GREY and not image.has_transparency_data,
                  deep)
  except Exception as error:
    raise ValueError(broken(path, error)) from error


def verified(
    path: pathlib.Path, size: tuple[int, int], form: Form
) -> np.ndarray:
  """`read`, after the checksums of a PNG, which unpacking passes over."""
  try:
    with Image.open(path) as image:
      if image.format == 'PNG':
        image.verify()
  except Exception as error:
    raise ValueError(broken(path, error)) from error
  return read(str(path), size, form)


def broken(path: str | os.PathLike, error: Exception) -> str:
  """What is wrong with a file, in a line."""
  reason = str(error).splitlines()[0] if str(error) else type(error).__name__
  return ('folder_source: images must be readable: repair or remove '
          f'{os.fspath(path)!r}, got {reason}')
