"""Random-access sources: arrays in memory, views by index, held-out splits."""

import dataclasses
import operator
from typing import Any, Mapping, NamedTuple, Sequence

from absl import logging
import numpy as np

from genjax.checks import check
from genjax.data.scaled import Scale
from genjax.data.scaled import ScaledSource
from genjax.data.scaled import to_model
from genjax.types import Shape
from genjax.types import Source


@dataclasses.dataclass(frozen=True)
class ArraySource:
  """A `Source` held in memory, which the pipeline indexes a batch at a time.

  Attributes:
    arrays: {'image': uint8 [N, H, W, C]} or {'x': float [N, D], finite}, and
      'label': int [N] where there are labels, 'vector': float [N, V] where
      numbers are told beside. (What is no image in files, but has been made
      one, may be 'x' of more axes: float [N, H, W, C].)
    class_names: The name of each label, all different; empty where there are
      none.
    vector_names: The name of each of the V numbers; empty where there are none.

  Raises:
    ValueError: If an array is of another type or shape or not finite, the
      lengths differ, or labels and names do not match.
  """

  arrays: Mapping[str, np.ndarray]
  class_names: tuple[str, ...] = ()
  vector_names: tuple[str, ...] = ()

  def __post_init__(self):
    where, names = 'ArraySource', self.class_names
    shapes = {name: np.shape(a) for name, a in self.arrays.items()}
    check(all(shapes.values()) and len({s[0] for s in shapes.values()}) == 1,
          where, 'arrays must have one length', shapes)
    check(('label' in self.arrays) == bool(names), where,
          'labels and class_names must come together',
          f'{", ".join(self.arrays)} and {len(names)} names')
    check(len(set(names)) == len(names), where,
          'class_names must differ', list(names))
    check_columns(where, self.arrays, names)
    size = shapes.get('vector', (0, 0))[-1]
    check(size == len(self.vector_names), where,
          "'vector' must have a name for each number",
          f'{len(self.vector_names)} for {size}')
    others = self.arrays.keys() - {'image', 'x', 'label', 'vector'}
    check(not others, where,
          "arrays must be 'image' or 'x', and 'label' and 'vector'",
          ', '.join(map(repr, self.arrays)))

  def __len__(self) -> int:
    return len(next(iter(self.arrays.values())))

  def __getitem__(self, index: int) -> dict[str, Any]:
    index = operator.index(index)
    return {name: a[index] for name, a in self.arrays.items()}


@dataclasses.dataclass(frozen=True)
class View:
  """The elements `indices` [M] of another source, in that order."""

  source: Source
  indices: np.ndarray

  def __post_init__(self):
    _check_indices('View', self.indices, len(self.source))

  @property
  def class_names(self) -> tuple[str, ...]:
    return class_names(self.source)

  @property
  def vector_names(self) -> tuple[str, ...]:
    return vector_names(self.source)

  def __len__(self) -> int:
    return len(self.indices)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    return self.source[int(self.indices[operator.index(index)])]


def check_columns(
    where: str, columns: Mapping[str, np.ndarray], names: Sequence[str]
) -> None:
  """Raises ValueError unless `columns` hold N elements of a `Source`.

  Pixels that are no bytes would be taken for bytes: all of [0, 1] is black.

  Args:
    where: what the message begins with.
    columns: 'image' or 'x', and perhaps 'label' and 'vector', each [N, ...];
      what else is there is not looked at.
    names: of the classes; empty where they are not known.
  """
  check(('image' in columns) != ('x' in columns), where,
        "an element must hold either 'image' or 'x'",
        ', '.join(map(repr, columns)))
  if 'label' in columns:
    label = np.asarray(columns['label'])
    check(label.dtype.kind in 'iu' and label.ndim == 1, where,
          "'label' must be int [N]", f'{label.dtype} {label.shape}')
    if len(label):
      most = len(names) or 2**31
      check(0 <= label.min() and label.max() < most, where,
            f'labels must be in [0, {most})', f'{label.min()} to {label.max()}')
  else:
    check(not names, where, f"elements of {len(names)} classes must hold a "
          "'label'", ', '.join(map(repr, columns)))
  if 'vector' in columns:
    vector = np.asarray(columns['vector'])
    check(vector.dtype.kind == 'f' and vector.ndim == 2
          and bool(np.isfinite(vector).all()), where,
          "'vector' must be finite float [N, V]",
          f'{vector.dtype} {vector.shape}')
  if 'image' in columns:
    image = np.asarray(columns['image'])
    check(image.dtype == np.uint8 and image.ndim == 4
          and 0 not in image.shape[1:], where,
          "'image' must be uint8 [N, H, W, C]",
          f'{image.dtype} {image.shape}')
  else:
    x = np.asarray(columns['x'])
    check(x.dtype.kind == 'f' and x.ndim >= 2 and 0 not in x.shape[1:], where,
          "'x' must be float32 [N, D]", f'{x.dtype} {x.shape}')
    # As the network will see it: beyond float32 numbers are infinite too.
    with np.errstate(over='ignore'):
      wrong = ~np.isfinite(x.astype(np.float32, copy=False))
    check(not wrong.any(), where, "'x' must be finite in float32",
          f'{wrong.sum()} of {wrong.size} numbers that are not')


class Description(NamedTuple):
  """What a network must know of a source."""

  size: int  # number of elements
  shape: Shape  # of one element: (H, W, C) or (D,)
  class_names: tuple[str, ...]  # empty where there are no labels

  @property
  def num_classes(self) -> int | None:
    return len(self.class_names) or None


def stacked(
    where: str, items: Sequence[Mapping[str, Any]]
) -> dict[str, np.ndarray]:
  """The columns of a batch of elements.

  Raises:
    ValueError: If the elements differ in what they hold, or in shape.
  """
  columns = {}
  for name in ('image', 'x', 'label', 'vector'):
    shapes = [np.shape(item[name]) if name in item else None for item in items]
    check(len(set(shapes)) == 1, where,
          f'all elements must hold {name!r} of one shape',
          ' and '.join(map(str, dict.fromkeys(shapes))))
    if shapes[0] is not None:
      columns[name] = np.stack([item[name] for item in items])
  return columns


def in_memory(source: Source) -> bool:
  """Whether `columns_of` reads a batch of `source` at once."""
  if isinstance(source, View):
    return in_memory(source.source)
  return isinstance(source, (ArraySource, ScaledSource)) or (
      _pixels(source) is not None)


def columns_of(source: Source, rows: np.ndarray) -> dict[str, np.ndarray]:
  """The columns [B, ...] of the elements `rows` [B] of any source.

  Raises:
    ValueError: If elements that are read one by one do not fit each other.
  """
  if isinstance(source, View):
    return columns_of(source.source, source.indices[rows])
  if isinstance(source, ArraySource):
    return {name: a[rows] for name, a in source.arrays.items()}
  if isinstance(source, ScaledSource):
    return source.rows(rows)
  pixels, labels = _pixels(source), getattr(source, 'labels', ())
  vectors = getattr(source, 'vectors', None)
  if pixels is None:
    columns = stacked('batches', [source[int(i)] for i in rows])
    check_columns('batches', columns, class_names(source))
    return columns
  scale = scale_of(source)
  columns = {'image': pixels[rows]} if scale is None else {
      'x': to_model(scale, pixels[rows])}
  if labels:
    columns['label'] = np.array([labels[i] for i in rows], np.int32)
  if vectors is not None:
    columns['vector'] = vectors[rows]
  return columns


def _pixels(source: Source) -> np.ndarray | None:
  """Of images in files, which have been decoded: [N, H, W, C]."""
  return getattr(source, 'pixels', None)


def class_names(source: Source) -> tuple[str, ...]:
  """The name of each label of `source`; empty where there are no labels."""
  return tuple(getattr(source, 'class_names', ()))


def vector_names(source: Source) -> tuple[str, ...]:
  """The name of each number told beside an element; empty for none."""
  return tuple(getattr(source, 'vector_names', ()))


def scale_of(source: Source) -> Scale | None:
  """The scale of a source; None of pixels of 8 bits, and of points."""
  if isinstance(source, View):
    return scale_of(source.source)
  return getattr(source, 'scale', None)


def vectors_of(source: Source) -> np.ndarray:
  """The numbers told beside the elements of a source that has some: [N, V].

  Without reading the images of a source in memory or a folder.
  """
  if isinstance(source, View):
    return vectors_of(source.source)[source.indices]
  if isinstance(source, ArraySource):
    return np.asarray(source.arrays['vector'])
  known = getattr(source, 'vectors', None)
  return np.stack([source[i]['vector'] for i in range(len(source))]
                  if known is None else known)


def describe(source: Source) -> Description:
  """Size, element shape and class names of `source`; reads one element."""
  check(len(source) > 0, 'describe', 'source must hold an element', 'none')
  item = source[0]
  check_columns('describe', stacked('describe', [item]), class_names(source))
  shape = np.shape(item['image' if 'image' in item else 'x'])
  return Description(len(source), shape, class_names(source))


def subset(source: Source, indices: np.ndarray) -> Source:
  """The elements `indices` [M] of `source`; in memory if `source` is.

  Of arrays that lie in a file, and of others that are not in memory, a view.

  Raises:
    ValueError: If they are not whole numbers in [0, N).
  """
  indices = np.asarray(indices)
  if indices.size == 0:
    indices = indices.astype(np.int64)
  _check_indices('subset', indices, len(source))
  if isinstance(source, ArraySource) and not any(
      isinstance(a, np.memmap) for a in source.arrays.values()):
    arrays = {name: a[indices] for name, a in source.arrays.items()}
    return ArraySource(arrays, source.class_names, source.vector_names)
  return View(source, indices)


def _check_indices(where: str, indices: np.ndarray, size: int) -> None:
  # A mask would be read as the elements 0 and 1.
  check(indices.dtype.kind in 'iu' and indices.ndim == 1, where,
        'indices must be int [M]', f'{indices.dtype} {indices.shape}')
  if len(indices):
    check(0 <= indices.min() and indices.max() < size, where,
          f'indices must be in [0, {size})',
          f'{indices.min()} to {indices.max()}')


def labels_of(source: Source) -> np.ndarray | None:
  """The label of every element, int [N]; None where there are no classes.

  Without reading the images of a source in memory or a folder; other sources
  are read through once.
  """
  if not class_names(source):
    return None
  if isinstance(source, ArraySource):
    return np.asarray(source.arrays['label'])
  if isinstance(source, View):
    label = labels_of(source.source)
    return label if label is None else label[source.indices]
  known = getattr(source, 'labels', None)
  if known is None:
    known = [source[i]['label'] for i in range(len(source))]
  return np.asarray(known, np.int64)


def split_held_out(
    source: Source, fraction: float, seed: int
) -> tuple[Source, Source]:
  """Splits `source` at random into (train, held out), both non-empty.

  A class of which every element was to be held out keeps the last of them, and
  the next in order is held out in its place: no class goes untrained. A line
  in the log names the classes that one side lacks all the same.

  Args:
    source: N elements, N >= 2.
    fraction: Share of the elements held out, in (0, 1); the number is
      rounded, and at least one element is on each side.
    seed: Of the choice, which depends on nothing but (seed, N) and, where a
      class would have gone whole, the labels.

  Returns:
    Two disjoint sources that together are `source`, in its order.

  Raises:
    ValueError: If `fraction` is outside (0, 1) or N < 2.
  """
  size = len(source)
  check(0 < fraction < 1, 'split_held_out', 'fraction must be in (0, 1)',
        fraction)
  check(size >= 2, 'split_held_out', 'source must hold 2 elements', size)
  count = min(max(round(fraction * size), 1), size - 1)
  order = permutation(size, seed, stream=3)
  label = labels_of(source)
  if label is not None:
    _, first = np.unique(label[order[::-1]], return_index=True)
    last = np.zeros(size, bool)  # of its class, in this order
    last[size - 1 - first] = True
    order = np.concatenate([order[~last], order[last]])
    _say_absent(label, {'trained on': order[count:], 'held out': order[:count]},
                class_names(source))
  return (subset(source, np.sort(order[count:])),
          subset(source, np.sort(order[:count])))


def _say_absent(label, sides, names):
  for side, indices in sides.items():
    absent = np.setdiff1d(label, label[indices])
    if len(absent):
      logging.warning(
          'split_held_out: of %d of %d classes no element is %s: %s%s',
          len(absent), len(np.unique(label)), side,
          ', '.join(repr(names[k]) for k in absent[:3]),
          ' and others' if len(absent) > 3 else '')


def random_bits(
    size: int, seed: int, stream: int, epoch: int = 0, start: int = 0
) -> np.ndarray:
  """`size` uint64 of Philox at (seed, stream, epoch): [size].

  With `start` those that follow the first 4 start.

  The raw counter-based stream, whose values numpy keeps for ever; those of
  `Generator` methods may change between its versions.
  """
  check(seed >= 0, 'data', 'seed must be non-negative', seed)
  bits = np.random.Philox(key=[seed, stream], counter=[start, 0, 0, epoch])
  return bits.random_raw(size)


def permutation(
    size: int, seed: int, stream: int, epoch: int = 0
) -> np.ndarray:
  """A uniform permutation of range(size), a function of its arguments."""
  return np.argsort(random_bits(size, seed, stream, epoch), kind='stable')
