"""Measurements of images by name, as a flag says them."""

from typing import Callable, Mapping

import numpy as np

from genjax.checks import check
from genjax.diffusion import operators
from genjax.diffusion.operators import Operator
from genjax.runs import keys
from genjax.types import Shape


def _half(shape: Shape, number: float, seed: int) -> Operator:
  """The upper half."""
  del number, seed
  kept = np.zeros(shape, bool)
  kept[:max(1, shape[0] // 2)] = True
  return operators.mask(kept)


def _box(shape: Shape, number: float, seed: int) -> Operator:
  """All but a rectangle in the middle, of this share of each side."""
  del seed
  check(0 < number < 1, 'measure', 'box must have a share between 0 and 1',
        number)
  kept = np.ones(shape, bool)
  cut = tuple(slice(int(round(side * (1 - number) / 2)),
                    int(round(side * (1 + number) / 2))) for side in shape[:2])
  kept[cut] = False
  return operators.mask(kept)


def _random(shape: Shape, number: float, seed: int) -> Operator:
  """This share of the pixels, chosen at random, the same of all images."""
  check(0 < number <= 1, 'measure', 'random must have a share above 0, 1 at '
        'most', number)
  size = shape[0] * shape[1]
  rows = keys.generator(seed, 'subset').permutation(size)
  kept = np.isin(np.arange(size), rows[:max(1, round(number * size))])
  return operators.mask(np.broadcast_to(
      kept.reshape(*shape[:2], 1), shape))


def _downsample(shape: Shape, number: float, seed: int) -> Operator:
  """Means over squares of so many pixels a side."""
  del seed
  check(number == int(number) and number >= 1, 'measure', 'downsample must '
        'have a whole number of pixels', number)
  return operators.downsample(shape, int(number))


def _blur(shape: Shape, number: float, seed: int) -> Operator:
  """A Gaussian blur of this standard deviation in pixels."""
  del seed
  return operators.blur(shape, number)


def _grey(shape: Shape, number: float, seed: int) -> Operator:
  """The mean of the channels."""
  del number, seed
  check(shape[-1] > 1, 'measure', 'grey must be of images with colours',
        f'{shape[-1]} channel')
  return operators.grey(shape)


# Name -> (number where none is said, what makes it of shape, number and seed).
MEASUREMENTS: Mapping[
    str, tuple[float, Callable[[Shape, float, int], Operator]]] = {
        'half': (0.5, _half),
        'box': (0.5, _box),
        'random': (0.5, _random),
        'downsample': (2, _downsample),
        'blur': (1, _blur),
        'grey': (1, _grey),
}


def operator_of(said: str, shape: Shape, seed: int) -> Operator:
  """The operator of 'name' or 'name:number' on images of `shape`.

  Raises:
    ValueError: there is none of this name, or the number or the shape does not
      fit.
  """
  name, _, number = said.partition(':')
  check(name in MEASUREMENTS, 'measure', 'must be one of '
        f'{", ".join(MEASUREMENTS)}, perhaps with a number as in blur:1.5',
        repr(said))
  check(len(shape) == 3, 'measure', 'must be of images', f'shape {shape}')
  default, make = MEASUREMENTS[name]
  try:
    value = float(number) if number else default
  except ValueError:
    value = float('nan')
  check(bool(np.isfinite(value)), 'measure', 'must have a number behind the '
        'colon', repr(said))
  return make(shape, value, seed)
