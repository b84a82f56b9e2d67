"""Random-access sources: arrays in memory, views by index, held-out splits."""

import dataclasses
import operator
from typing import Any, Mapping, NamedTuple

import numpy as np

from genjax.checks import check
from genjax.types import Shape
from genjax.types import Source


@dataclasses.dataclass(frozen=True)
class ArraySource:
  """A `Source` held in memory, which the pipeline indexes a batch at a time.

  Attributes:
    arrays: {'image': uint8 [N, H, W, C]} or {'x': float32 [N, D]}, and
      'label': int [N] where there are labels.
    class_names: The name of each label; empty where there are none.

  Raises:
    ValueError: If the lengths differ, or labels and names do not match.
  """

  arrays: Mapping[str, np.ndarray]
  class_names: tuple[str, ...] = ()

  def __post_init__(self):
    sizes = {name: len(a) for name, a in self.arrays.items()}
    check(len(set(sizes.values())) == 1, 'ArraySource',
          'arrays must have one length', sizes)
    label = self.arrays.get('label')
    check((label is not None) == bool(self.class_names), 'ArraySource',
          'labels and class_names must come together',
          f'{", ".join(self.arrays)} and {len(self.class_names)} names')
    if label is not None and len(label):
      check(0 <= label.min() and label.max() < len(self.class_names),
            'ArraySource', f'labels must be in [0, {len(self.class_names)})',
            f'{label.min()} to {label.max()}')

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

  @property
  def class_names(self) -> tuple[str, ...]:
    return class_names(self.source)

  def __len__(self) -> int:
    return len(self.indices)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    return self.source[int(self.indices[operator.index(index)])]


class Description(NamedTuple):
  """What a network must know of a source."""

  size: int  # number of elements
  shape: Shape  # of one element: (H, W, C) or (D,)
  class_names: tuple[str, ...]  # empty where there are no labels

  @property
  def num_classes(self) -> int | None:
    return len(self.class_names) or None


def class_names(source: Source) -> tuple[str, ...]:
  """The name of each label of `source`; empty where there are no labels."""
  return tuple(getattr(source, 'class_names', ()))


def describe(source: Source) -> Description:
  """Size, element shape and class names of `source`; reads one element."""
  check(len(source) > 0, 'describe', 'source must hold an element', 'none')
  item = source[0]
  shape = np.shape(item['image' if 'image' in item else 'x'])
  return Description(len(source), shape, class_names(source))


def subset(source: Source, indices: np.ndarray) -> Source:
  """The elements `indices` [M] of `source`; in memory if `source` is."""
  indices = np.asarray(indices, np.int64)
  if isinstance(source, ArraySource):
    arrays = {name: a[indices] for name, a in source.arrays.items()}
    return ArraySource(arrays, source.class_names)
  return View(source, indices)


def split_held_out(
    source: Source, fraction: float, seed: int
) -> tuple[Source, Source]:
  """Splits `source` at random into (train, held out), both non-empty.

  Args:
    source: N elements, N >= 2.
    fraction: Share of the elements held out, in (0, 1); the number is
      rounded, and at least one element is on each side.
    seed: Of the choice, which depends on nothing but (seed, N).

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
  return (subset(source, np.sort(order[count:])),
          subset(source, np.sort(order[:count])))


def random_bits(
    size: int, seed: int, stream: int, epoch: int = 0
) -> np.ndarray:
  """`size` uint64 of Philox at (seed, stream, epoch): [size].

  The raw counter-based stream, whose values numpy keeps for ever; those of
  `Generator` methods may change between its versions.
  """
  check(seed >= 0, 'data', 'seed must be non-negative', seed)
  bits = np.random.Philox(key=[seed, stream], counter=[0, 0, 0, epoch])
  return bits.random_raw(size)


def permutation(
    size: int, seed: int, stream: int, epoch: int = 0
) -> np.ndarray:
  """A uniform permutation of range(size), a function of its arguments."""
  return np.argsort(random_bits(size, seed, stream, epoch), kind='stable')
