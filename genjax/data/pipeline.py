"""Batches as a pure function of (seed, step), in memory and from disk.

Position p = step B + i of the endless stream holds element order_e[p mod N]
of epoch e = p div N: batches span the borders of epochs, every element comes
once an epoch, and to resume nothing but the step is needed. The function is
the same for both kinds of source; only the reading differs.
"""

import functools
import itertools
import math
import sys
from typing import Iterator

import numpy as np

from genjax.checks import check
from genjax.checks import check_in_range
from genjax.data import augment as augmentation
from genjax.data.sources import columns_of
from genjax.data.sources import describe
from genjax.data.sources import in_memory
from genjax.data.sources import permutation
from genjax.data.sources import random_bits
from genjax.types import Batch
from genjax.types import Source

# Streams of random bits; 3 is that of `split_held_out`.
_ORDER, _FLIP, _EVAL, _CROP, _AUGMENT = 0, 1, 2, 4, 5


def to_model_range(image: np.ndarray) -> np.ndarray:
  """Pixels 0..255 as float32 in [-1, 1]: x / 127.5 - 1.

  Raises:
    ValueError: If they are not whole numbers in this range: floats in [0, 1]
      would all be black.
  """
  image = np.asarray(image)
  if image.dtype != np.uint8:
    least, most = (image.min(), image.max()) if image.size else (0, 0)
    check(image.dtype.kind in 'iu' and 0 <= least and most <= 255,
          'to_model_range', 'pixels must be whole numbers in [0, 255]',
          f'{image.dtype}, {least} to {most}')
  return np.asarray(image, np.float32) / np.float32(127.5) - np.float32(1)


def to_uint8(x: np.ndarray) -> np.ndarray:
  """Pixels 0..255 (uint8) of x in [-1, 1]: rounded, clipped outside.

  Inverts `to_model_range` exactly. A NaN becomes 0 (black).

  Raises:
    ValueError: If x holds whole numbers, as pixels already do.
  """
  kind = np.asarray(x).dtype
  check(kind.kind not in 'iub', 'to_uint8', 'x must be float, in [-1, 1]', kind)
  pixels = np.round((np.asarray(x, np.float32) + 1) * np.float32(127.5))
  return np.clip(np.nan_to_num(pixels, nan=0), 0, 255).astype(np.uint8)


def batches(
    source: Source,
    batch_size: int,
    *,
    seed: int,
    start_step: int = 0,
    horizontal_flip: bool = False,
    crop: int = 0,
    augment: float = 0.0,
    shuffle: bool = True,
    rows: np.ndarray | None = None,
    num_threads: int = 4,
) -> Iterator[Batch]:
  """The endless stream of batches from `start_step` on.

  Sources in memory are indexed when asked; the others are read ahead by
  grain, one thread a batch, in an iterator that also has `get_state()` ==
  {'next_index': step}.

  Args:
    source: N elements. `batch_size` may exceed N: a batch then spans epochs.
    batch_size: B, of the global batch.
    seed: Of the orders, flips, crops and changes.
    start_step: Number of batches that are skipped, at no cost.
    horizontal_flip: Whether each image is mirrored with probability 1/2.
    crop: Pixels by which each image is reflected beyond its border before a
      window of its own size is cut out of it at random; 0 leaves it alone.
    augment: Probability of each of the geometric changes of `data.augment`,
      which come last; 0 makes none, and tells none.
    shuffle: Whether each epoch has an order of its own; else that of
      `source`.
    rows: Places in each batch, rising, of the rows that are read, where several
      processes share one; None reads all.
    num_threads: Batches that are read ahead, for sources not in memory.

  Returns:
    An iterator over {'x': float32 [B, ...], 'cond': {'label': int32 [B],
    'vector': float32 [B, V], 'augment': float32 [B, 9]}, 'index': int32 [B]},
    or of the given rows alone; images are in [-1, 1], points as they are;
    'label' and 'vector' are there if `source` has them, 'augment', which tells
    the changes, where some are made.

  Raises:
    ValueError: If `source` is empty, a number is out of range, what is no image
      is to be flipped, cropped or changed, an image has no more than `crop`
      pixels a side, or, when it is read, an element is none of a `Source`.
  """
  _check_stream(source, batch_size, seed, start_step, num_threads)
  if horizontal_flip or crop or augment:
    _check_images(describe(source).shape, horizontal_flip, crop, augment)
  make = functools.partial(
      batch_at, source, batch_size, seed=seed,
      horizontal_flip=horizontal_flip, crop=crop, augment=augment,
      shuffle=shuffle, rows=rows)
  if in_memory(source):
    return map(make, itertools.count(start_step))
  # Here, because it takes seconds that sources in memory need not pay.
  import grain

  steps = grain.MapDataset.range(sys.maxsize).map(make)
  iterator = iter(steps.to_iter_dataset(grain.ReadOptions(
      num_threads=num_threads, prefetch_buffer_size=num_threads)))
  iterator.set_state({'next_index': start_step})
  return iterator


def batch_at(
    source: Source,
    batch_size: int,
    step: int,
    *,
    seed: int,
    horizontal_flip: bool = False,
    crop: int = 0,
    augment: float = 0.0,
    shuffle: bool = True,
    rows: np.ndarray | None = None,
) -> Batch:
  """Batch number `step` of the stream `batches`, which has its arguments."""
  _check_stream(source, batch_size, seed, step, num_threads=1)
  size = len(source)
  rows = np.arange(batch_size) if rows is None else rows
  epochs, places = np.divmod(int(step) * batch_size + rows, size)
  if shuffle:
    elements = _by_epoch(_order, epochs, places, size, seed)
  else:
    elements = places
  batch = _assemble(source, elements)
  batch['index'] = rows.astype(np.int32)
  _check_images(batch['x'].shape[1:], horizontal_flip, crop, augment)
  if horizontal_flip:
    flip = _by_epoch(_flips, epochs, places, size, seed)
    batch['x'][flip] = batch['x'][flip, :, ::-1]
  if crop:
    batch['x'] = _cropped(batch['x'], crop, _by_epoch(
        _crops, epochs, places, size, seed))
  if augment:
    change = augmentation.drawn(_words(epochs, places, seed), augment)
    batch['x'] = augmentation.changed(batch['x'], change)
    batch['cond']['augment'] = augmentation.told(change)
  return batch


def _cropped(x: np.ndarray, crop: int, bits: np.ndarray) -> np.ndarray:
  """x [B, H, W, C], each moved by up to `crop` pixels either way.

  What comes in at a border is the image mirrored there, the border not
  doubled. `bits` uint64 [B] decide.
  """
  number, height, width, _ = x.shape
  pad = [(0, 0), (crop, crop), (crop, crop), (0, 0)]
  padded = np.pad(x, pad, 'reflect')
  # Of 32 bits each: every place is as likely as the others, but for 2e-6.
  down, right = (half % np.uint64(2 * crop + 1) for half in (
      bits >> np.uint64(32), bits & np.uint64(2**32 - 1)))
  rows = down.astype(int)[:, None] + np.arange(height)
  columns = right.astype(int)[:, None] + np.arange(width)
  return padded[np.arange(number)[:, None, None], rows[:, :, None],
                columns[:, None, :]]


def full_batch(source: Source) -> Batch:
  """All N elements of `source` in order, as one batch."""
  check(len(source) > 0, 'full_batch', 'source must hold an element', 'none')
  return _assemble(source, np.arange(len(source)))


def eval_batches(source: Source, batch_size: int) -> Iterator[Batch]:
  """One pass over `source` in ceil(N / B) batches of one shape.

  The order is mixed (classes may lie in blocks) but always the same. The
  last batch is filled up with the first elements of the order; 'mask'
  [B] float32 is 0 on this filling and 1 elsewhere. A mean weighted by 'mask'
  is the exact mean over `source`; one that ignores it counts the filling
  twice.

  Raises:
    ValueError: If `source` is empty or `batch_size` below 1.
  """
  _check_stream(source, batch_size, seed=0, start_step=0, num_threads=1)
  size = len(source)
  order = permutation(size, seed=0, stream=_EVAL)

  def make(step: int) -> Batch:
    positions = step * batch_size + np.arange(batch_size)
    batch = _assemble(source, order[positions % size])
    return {**batch, 'mask': (positions < size).astype(np.float32)}

  return map(make, range(math.ceil(size / batch_size)))


def _check_stream(source, batch_size, seed, start_step, num_threads):
  check(len(source) > 0, 'batches', 'source must hold an element', 'none')
  check_in_range('batches', 'batch_size', batch_size, 1, 2**31 - 1)
  check_in_range('batches', 'seed', seed, 0, 2**63 - 1)
  check_in_range('batches', 'start_step', start_step, 0, 2**53)
  check((int(start_step) + 1) * int(batch_size) < 2**63, 'batches',
        'start_step and batch_size must name fewer than 2**63 elements',
        f'{start_step} and {batch_size}')
  check_in_range('batches', 'num_threads', num_threads, 1, 1024)


def _check_images(shape, horizontal_flip, crop, augment):
  check(not horizontal_flip or len(shape) == 3, 'batches',
        'horizontal_flip needs images', f'elements of shape {shape}')
  check(crop >= 0, 'batches', 'crop must be non-negative', crop)
  check(not crop or len(shape) == 3 and crop < min(shape[:2]), 'batches',
        f'crop needs images of more than {crop} pixels a side',
        f'elements of shape {shape}')
  check_in_range('batches', 'augment', augment, 0, 1)
  check(not augment or len(shape) == 3 and min(shape[:2]) > 1, 'batches',
        'augment needs images of more than 1 pixel a side',
        f'elements of shape {shape}')


def _by_epoch(table, epochs, places, size, seed) -> np.ndarray:
  """table(epoch)[place] of each position [B]."""
  parts = [table(size, seed, int(epoch))[places[epochs == epoch]]
           for epoch in range(epochs[0], epochs[-1] + 1)]
  return np.concatenate(parts)


# Two epochs meet in a batch, and reading ahead may be one further.
@functools.lru_cache(maxsize=4)
def _order(size: int, seed: int, epoch: int) -> np.ndarray:
  return permutation(size, seed, _ORDER, epoch)


@functools.lru_cache(maxsize=4)
def _flips(size: int, seed: int, epoch: int) -> np.ndarray:
  return random_bits(size, seed, _FLIP, epoch) >> np.uint64(63) == 1


@functools.lru_cache(maxsize=4)
def _crops(size: int, seed: int, epoch: int) -> np.ndarray:
  return random_bits(size, seed, _CROP, epoch)


def _words(epochs, places, seed) -> np.ndarray:
  """The random bits of each position, [B, WORDS]: of few, not of a table."""
  words = augmentation.WORDS
  return np.stack([random_bits(words, seed, _AUGMENT, int(epoch),
                               int(place) * words // 4)
                   for epoch, place in zip(epochs, places)])


def _assemble(source: Source, elements: np.ndarray) -> Batch:
  """The batch of the given elements [B]."""
  columns = columns_of(source, elements)
  x = (to_model_range(columns['image']) if 'image' in columns
       else np.asarray(columns['x'], np.float32))
  cond = {name: columns[name].astype(dtype)
          for name, dtype in (('label', np.int32), ('vector', np.float32))
          if name in columns}
  return {'x': x, 'cond': cond, 'index': np.arange(len(x), dtype=np.int32)}
