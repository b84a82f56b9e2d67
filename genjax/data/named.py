"""Data sets by name, as `--data` and the settings of a run say them.

  digits, binarized_digits, folder:<path>, npy:<path>, tfds:<name>, or
  toy:<name>, whose options follow: toy:spirals,turns=2,noise=0.05,points=1000
"""

import functools
import inspect
import math
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import arrays
from genjax.data import embedded
from genjax.data import pipeline
from genjax.data import sources
from genjax.data import toy
from genjax.data.scaled import Scale
from genjax.types import Array
from genjax.types import Key
from genjax.types import Source

# A toy set is drawn once, so that an epoch means something.
_TOY_POINTS = 65536
_MOST_POINTS = 10_000_000
_LARGEST = 4096  # height or width of an image in pixels
_SOME = 2000
_HELD_OUT, _FEW = 0.1, 20  # of so many, unless it is said


class Data(NamedTuple):
  """What a name stands for: examples to train on, and others to test with."""

  train: Source
  test: Source | None

  @property
  def description(self) -> sources.Description:
    return sources.describe(self.train)

  @property
  def scale(self) -> Scale | None:
    return sources.scale_of(self.train)


class _Options(NamedTuple):
  image_size: tuple[int, ...] | None
  channels: int | None
  bits: int | None
  held_out: float | None
  seed: int
  cache: float
  labels: str


def _embedded(read: Any, argument: str, options: _Options) -> Data:
  name = read.__name__
  check(not argument, 'data', f'{name} takes no argument', argument)
  _check_unused(name, options, 'image_size', 'channels', 'held_out')
  return Data(read('train'), read('test'))


def _toy(argument: str, options: _Options) -> Data:
  _check_unused('a toy set', options, 'image_size', 'channels', 'held_out')
  name, points, own = parse_toy(argument, toy.SETS, _TOY_POINTS)
  seed = options.seed
  return Data(toy.toy_source(name, points, 2 * seed, **own),
              toy.toy_source(name, -(-points // 16), 2 * seed + 1, **own))


def parse_toy(
    spec: str, sets: Mapping[str, Callable[..., Any]], points: int
) -> tuple[str, int, dict[str, float]]:
  """Name, number of points and options of <name>,<option>=<number>,...

  Args:
    spec: what is written.
    sets: name -> function, whose keyword-only arguments are the options.
    points: where the option of this name is absent.

  Raises:
    ValueError: an unknown set, or an option it has not.
  """
  name, *given = spec.split(',')
  check_choice('data', 'the toy set', name, sets)
  allowed = [p.name for p in inspect.signature(sets[name]).parameters.values()
             if p.kind == p.KEYWORD_ONLY]
  options = {}
  for option in given:
    key, _, value = option.partition('=')
    check_choice('data', f'an option of {name}', key, ['points', *allowed])
    options[key] = _number(key, value)
  count = options.pop('points', points)
  check(count == int(count) and 1 <= count <= _MOST_POINTS, 'data',
        f'points must be a positive whole number up to {_MOST_POINTS}', count)
  noise = options.get('noise', 0.0)
  check(noise >= 0, 'data', 'noise must be non-negative', noise)
  return name, int(count), options


def _number(name: str, text: str) -> float:
  try:
    number = float(text)
  except ValueError:
    number = math.nan
  check(math.isfinite(number), 'data', f'{name} must be a finite number',
        repr(text))
  return number


def _folder(argument: str, options: _Options) -> Data:
  from genjax.data import folder  # decodes images, which digits need not

  # An empty path would be the current folder.
  check(bool(argument), 'data', 'folder:<path> must name a folder', "'folder:'")
  source = folder.folder_source(argument, _size(options) or (32, 32),
                                channels=options.channels, bits=options.bits,
                                cache=options.cache, labels=options.labels)
  return _split(source, options)


def _npy(argument: str, options: _Options) -> Data:
  _check_unused('an array', options, 'image_size', 'channels')
  check(bool(argument), 'data', 'npy:<path> must name a file', "'npy:'")
  return _split(arrays.npy_source(argument), options)


def _split(source: Source, options: _Options) -> Data:
  share = options.held_out
  if share is None:
    share = _HELD_OUT if len(source) >= _FEW else 0.0
  if not share:
    return Data(source, None)
  return Data(*sources.split_held_out(source, share, options.seed))


def _tfds(argument: str, options: _Options) -> Data:
  _check_unused('a tfds set', options, 'channels', 'held_out')
  from genjax.data import tfds  # imports tensorflow_datasets

  return Data(*(tfds.tfds_source(argument, split, size=_size(options))
                for split in ('train', 'test')))


def _size(options: _Options) -> tuple[int, int] | None:
  """(height, width); that of a square is said by one number."""
  given = options.image_size
  return None if given is None else (given[0], given[-1])


def _check_unused(data: str, options: _Options, *names: str) -> None:
  check(options.labels == 'folders', 'labels', f'must be absent for {data}',
        options.labels)
  check(options.bits in (None, 8), 'bits', f'must be 8 or absent for {data}',
        options.bits)
  for name in names:
    value = getattr(options, name)
    check(not value, name, f'must be absent for {data}', value)


# The part of a name before ":".
KINDS: Mapping[str, Callable[[str, _Options], Data]] = {
    'digits': functools.partial(_embedded, embedded.digits),
    'binarized_digits': functools.partial(_embedded,
                                          embedded.binarized_digits),
    'toy': _toy,
    'folder': _folder,
    'npy': _npy,
    'tfds': _tfds,
}


def open_data(
    name: str, *, image_size: tuple[int, ...] | None = None,
    channels: int | None = None, bits: int | None = None,
    held_out: float | None = None, seed: int = 0, cache: float = 0.0,
    labels: str = 'folders'
) -> Data:
  """Opens the data set of a name.

  Args:
    name: see above.
    image_size: height and width, or the side of the square, of the images of a
      folder (32 where None); resizes a tensorflow-datasets set where given.
    channels: of the images of a folder, see `folder_source`.
    bits: of their channels, see `folder_source`; 8 says nothing of other data.
    held_out: share of a folder's files, or of an array's rows, kept out of
      training; None is a tenth of 20 or more, and none of fewer. Other data
      have a test split of their own.
    seed: of the toy sets' draw and of the choice of held-out files.
    cache: GiB of pixels up to which the images of a folder are decoded once
      and kept, see `folder_source`.
    labels: where the classes of a folder are from, see `folder_source`.

  Raises:
    ValueError: unknown or unreadable data, or an option that is not theirs.
  """
  kind, _, argument = name.partition(':')
  check_choice('data', 'the part before ":"', kind, KINDS)
  # A slip of the hand would fill the memory.
  check(max(image_size or (1,)) <= _LARGEST, 'image_size',
        f'must be at most {_LARGEST}', image_size)
  return KINDS[kind](argument, _Options(
      image_size, channels, bits, held_out, seed, cache, labels))


def _line(key: Key, n: int, *, slope: float = 0.8, intercept: float = -0.3,
          noise: float = 0.4) -> dict[str, Array]:
  """Points [n, 2] about a line, over inputs uniform on [-2, 2]."""
  return _about(lambda x: slope * x + intercept, key, n, noise)


def _wave(key: Key, n: int, *, noise: float = 0.2) -> dict[str, Array]:
  """Points [n, 2] about sin 2x, over inputs uniform on [-2, 2]."""
  return _about(lambda x: jnp.sin(2 * x), key, n, noise)


def _about(curve: Any, key: Key, n: int, noise: float) -> dict[str, Array]:
  key_x, key_noise = jax.random.split(key)
  x = jax.random.uniform(key_x, (n,), minval=-2, maxval=2)
  y = curve(x) + noise * jax.random.normal(key_noise, (n,))
  return {'x': jnp.stack([x, y], -1)}


# What a regression is fitted to, by toy:<name>.
CURVES: Mapping[str, Callable[..., dict[str, Array]]] = {
    'line': _line,
    'wave': _wave,
}


def open_points(
    spec: str, sets: Mapping[str, Callable[..., Any]], points: int, seed: int
) -> Data:
  """As many fresh points to test with as toy:<spec> has to train on.

  Args:
    spec: what follows toy:, see `parse_toy`.
    sets: `toy.SETS` or CURVES.
    points: how many where the option is absent.
    seed: of their draw.

  Raises:
    ValueError: see `parse_toy`.
  """
  name, count, options = parse_toy(spec, sets, points)
  draw = jax.jit(sets[name], static_argnames='n')

  def source(seed: int) -> Source:
    drawn = draw(jax.random.key(seed), n=count, **options)
    names = tuple(map(str, range(toy.NUM_CLASSES.get(name, 0))))
    return sources.ArraySource(
        {column: np.asarray(a) for column, a in drawn.items()},
        names if 'label' in drawn else ())

  return Data(source(2 * seed), source(2 * seed + 1))


def some_of(source: Source) -> np.ndarray:
  """Data in model range [N, ...] from all over a source, 2,000 at most."""
  rows = np.linspace(0, len(source) - 1, min(_SOME, len(source)))
  return pipeline.full_batch(sources.subset(source, rows.astype(int)))['x']
