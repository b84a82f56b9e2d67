"""Laws of the stream of batches, for sources in memory and on disk alike."""

import itertools
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest

from genjax.data import pipeline
from genjax.data import sources

SIZE = 11


def _in_memory():
  # Pixel (0, 0) names the element, and the two columns differ: a flip shows.
  image = np.zeros((SIZE, 2, 2, 1), np.uint8)
  image[:, :, 0, 0] = np.arange(SIZE)[:, None]
  image[:, :, 1, 0] = 100
  return sources.ArraySource(
      {'image': image, 'label': np.arange(SIZE) % 2}, ('even', 'odd'))


class _Lazy:
  """The same elements behind `__getitem__` only: read through grain."""

  class_names = ('even', 'odd')

  def __len__(self):
    return SIZE

  def __getitem__(self, index):
    return _in_memory()[index]


KINDS = {'memory': _in_memory, 'disk': _Lazy}
EACH_KIND = pytest.mark.parametrize('kind', KINDS)


def _take(count, *args, **kwargs):
  return list(itertools.islice(pipeline.batches(*args, **kwargs), count))


def _elements(batches):
  """The elements in a list of unflipped batches, in order."""
  x = np.concatenate([b['x'] for b in batches])
  return pipeline.to_uint8(x)[:, 0, 0, 0].tolist()


def test_to_uint8_inverts_to_model_range_exactly():
  pixels = np.arange(256, dtype=np.uint8)
  x = pipeline.to_model_range(pixels)
  assert x.dtype == np.float32
  assert (x[0], x[255]) == (-1, 1)
  np.testing.assert_array_equal(pipeline.to_uint8(x), pixels)


def test_to_uint8_rounds_and_clips():
  x = np.array([-9.0, -1.0, 0.49 / 127.5, 1.0, np.inf, -np.inf, np.nan])
  np.testing.assert_array_equal(
      pipeline.to_uint8(x), [0, 0, 128, 255, 255, 0, 0])


@pytest.mark.parametrize('pixels', [
    np.array([0.0, 1.0]), np.array([True]), np.array([0, 256]),
    np.array([-1, 0], np.int8), np.array([65535], np.uint16)])
def test_to_model_range_refuses_what_are_no_pixels(pixels):
  with pytest.raises(ValueError, match=r'whole numbers in \[0, 255\], got'):
    pipeline.to_model_range(pixels)


@pytest.mark.parametrize('pixels', [np.zeros(0, int), np.array([0, 255])])
def test_to_model_range_takes_whole_numbers_of_any_type(pixels):
  want = pipeline.to_model_range(pixels.astype(np.uint8))
  np.testing.assert_array_equal(pipeline.to_model_range(pixels), want)


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, bool])
def test_to_uint8_refuses_pixels(dtype):
  with pytest.raises(ValueError, match='x must be float'):
    pipeline.to_uint8(np.zeros(3, dtype))


@EACH_KIND
def test_batches_keep_the_contract(kind):
  (batch,) = _take(1, KINDS[kind](), 4, seed=0)
  assert set(batch) == {'x', 'cond', 'index'}
  chex.assert_shape(batch['x'], (4, 2, 2, 1))
  chex.assert_type([batch['x'], batch['cond']['label'], batch['index']],
                   [np.float32, np.int32, np.int32])
  np.testing.assert_array_equal(batch['index'], np.arange(4))
  elements = np.array(_elements([batch]))
  np.testing.assert_array_equal(batch['cond']['label'], elements % 2)


def test_batches_of_vectors_pass_unchanged():
  x = np.array([[3.0, -7.0], [0.5, 2.0]], np.float32)
  (batch,) = _take(1, sources.ArraySource({'x': x}), 2, seed=0,
                   shuffle=False)
  np.testing.assert_array_equal(batch['x'], x)
  assert batch['cond'] == {}


@EACH_KIND
@pytest.mark.parametrize('size', [1, 4, SIZE, 2 * SIZE + 3])
def test_batches_hold_every_element_once_an_epoch(kind, size):
  epochs = 4
  stream = _elements(_take(-(-epochs * SIZE // size), KINDS[kind](), size,
                           seed=2))
  orders = [tuple(stream[e * SIZE:(e + 1) * SIZE]) for e in range(epochs)]
  for order in orders:
    assert sorted(order) == list(range(SIZE))
  assert len(set(orders)) == epochs  # reshuffled


@EACH_KIND
@pytest.mark.parametrize('start', [0, 1, 2, 3, 13])
def test_batches_restart_bitwise_at_any_step(kind, start):
  options = dict(seed=5, horizontal_flip=True)
  whole = _take(start + 3, KINDS[kind](), 4, **options)[start:]
  resumed = _take(3, KINDS[kind](), 4, start_step=start, **options)
  chex.assert_trees_all_equal(whole, resumed)


@pytest.mark.parametrize('options', [
    {}, {'shuffle': False}, {'horizontal_flip': True}])
def test_batches_are_the_same_from_memory_and_disk(options):
  both = [_take(6, make(), 5, seed=3, **options) for make in KINDS.values()]
  chex.assert_trees_all_equal(*both)


def test_batches_from_disk_tell_their_step():
  stream = pipeline.batches(_Lazy(), 4, seed=0, start_step=7)
  next(stream)
  assert stream.get_state() == {'next_index': 8}


def test_batches_do_not_depend_on_the_number_of_threads():
  one, many = (_take(8, _Lazy(), 3, seed=1, num_threads=n) for n in (1, 6))
  chex.assert_trees_all_equal(one, many)


def test_batches_depend_on_the_seed():
  orders = {tuple(_elements(_take(2, _in_memory(), SIZE, seed=s)))
            for s in range(10)}
  assert len(orders) == 10


@EACH_KIND
def test_batches_unshuffled_are_in_order(kind):
  stream = _elements(_take(5, KINDS[kind](), 4, seed=0, shuffle=False))
  assert stream == [i % SIZE for i in range(20)]


def test_batches_far_along_start_at_once():
  step = 10**12
  (batch,) = _take(1, _in_memory(), 4, seed=0, start_step=step)
  chex.assert_trees_all_equal(
      batch, pipeline.batch_at(_in_memory(), 4, step, seed=0))


@EACH_KIND
def test_horizontal_flip_mirrors_half_of_the_images(kind):
  count, size = 50, 32
  plain = _take(count, KINDS[kind](), size, seed=7)
  mixed = _take(count, KINDS[kind](), size, seed=7, horizontal_flip=True)
  x, y = (np.concatenate([b['x'] for b in s]) for s in (plain, mixed))
  mirrored = np.all(y == x[:, :, ::-1], axis=(1, 2, 3))
  same = np.all(y == x, axis=(1, 2, 3))
  assert np.all(mirrored ^ same)
  # Binomial(1600, 1/2): five standard deviations are .0625.
  assert abs(mirrored.mean() - 0.5) < 0.0625
  # One element is now mirrored, now not.
  elements = np.array(_elements(plain))
  assert len(set(mirrored[elements == 0])) == 2


def _mirrored(seed, size, count):
  """Which images of `count` batches are mirrored: [count, size]."""
  plain, mixed = (
      _take(count, _in_memory(), size, seed=seed, horizontal_flip=flip)
      for flip in (False, True))
  return np.array([np.any(a['x'] != b['x'], axis=(1, 2, 3))
                   for a, b in zip(plain, mixed)])


def test_horizontal_flip_depends_on_the_seed():
  assert len({_mirrored(s, SIZE, 4).tobytes() for s in range(10)}) == 10


def test_horizontal_flip_is_independent_of_the_place_in_the_epoch():
  # Each place is mirrored Binomial(400, 1/2) times: five deviations are 50.
  mirrored = _mirrored(0, SIZE, 400)
  assert np.abs(mirrored.sum(0) - 200).max() < 50
  # Nor do the bits that order an epoch decide its flips: element p comes
  # early or late whether or not place p is mirrored.
  orders = _elements(_take(400, _in_memory(), SIZE, seed=0))
  ranks = np.argsort(np.reshape(orders, (400, SIZE)), axis=1)
  correlation = np.corrcoef(ranks.ravel(), mirrored.ravel())[0, 1]
  assert abs(correlation) < 5 / np.sqrt(400 * SIZE)


def test_horizontal_flip_keeps_labels_and_rows():
  image = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 2), np.uint8)
  source = sources.ArraySource({'image': image})
  batch = pipeline.batch_at(source, 6, 0, seed=0, shuffle=False,
                            horizontal_flip=True)
  for got, want in zip(pipeline.to_uint8(batch['x']), image):
    assert (np.array_equal(got, want)
            or np.array_equal(got, want[:, ::-1]))
  # The source itself is left alone.
  chex.assert_trees_all_equal(
      pipeline.full_batch(source)['x'], pipeline.to_model_range(image))


def test_crop_cuts_windows_out_of_the_reflected_image():
  """Each of the 25 places is as likely as the others, in rows and columns."""
  image = np.arange(2 * 6 * 5, dtype=np.uint8).reshape(2, 6, 5, 1)
  source = sources.ArraySource({'image': image})
  wide = np.pad(image, [(0, 0), (2, 2), (2, 2), (0, 0)], 'reflect')
  windows = np.stack([wide[:, i:i + 6, j:j + 5]
                      for i in range(5) for j in range(5)], 1)
  x = np.concatenate([b['x'] for b in _take(50, source, 100, seed=3, crop=2)])
  same = (windows[:, None] == pipeline.to_uint8(x)[None, :, None]).all(
      (3, 4, 5))
  assert (same.sum((0, 2)) == 1).all()
  for element in range(2):
    counts = same[element].sum(0)
    # Chi-squared of 24 degrees: above 60 in 6e-5 of all draws.
    expected = counts.sum() / 25
    assert np.sum((counts - expected)**2) / expected < 60


@pytest.mark.parametrize('options', [
    {'horizontal_flip': True, 'crop': 1}, {'augment': 0.5}])
def test_what_is_done_to_images_is_a_function_of_seed_and_step(options):
  options = {'seed': 5, **options}
  both = [_take(6, make(), 4, **options) for make in KINDS.values()]
  chex.assert_trees_all_equal(*both)
  resumed = _take(3, _in_memory(), 4, start_step=3, **options)
  chex.assert_trees_all_equal(both[0][3:], resumed)


def test_changes_are_told_and_come_last():
  """Each place of each epoch has its own, in batches of any size."""
  image = np.random.default_rng(0).integers(0, 256, (SIZE, 5, 6, 2), np.uint8)
  source = sources.ArraySource({'image': image})
  plain, changed = (_take(4, source, SIZE, seed=3, crop=1, augment=augment)
                    for augment in (0.0, 0.3))
  told, counts = [], np.zeros(3, int)
  for before, after in zip(plain, changed):
    assert 'augment' not in before['cond']
    numbers = after['cond']['augment']
    assert numbers.shape == (SIZE, 9) and numbers.dtype == np.float32
    told.append(numbers)
    for x, y, row in zip(before['x'], after['x'], numbers):
      flips = tuple(np.flatnonzero(row[1::-1]))  # y, x
      if row[2:].any():
        counts[2] += np.abs(np.flip(x, flips) - y).max() > 1e-3
      else:
        np.testing.assert_array_equal(np.flip(x, flips), y)
        counts[int(bool(flips))] += 1
  assert counts.min() >= 4 and counts.sum() == 4 * SIZE
  told = np.concatenate(told)
  some = told[told[:, 2:].any(1)]
  assert len(np.unique(some, axis=0)) == len(some)  # no epoch is another one
  fours = _take(SIZE, source, 4, seed=3, crop=1, augment=0.3)
  for name in ('x', 'told'):
    one, other = (np.concatenate([
        b['x'] if name == 'x' else b['cond']['augment'] for b in batches])
                  for batches in (changed, fours))
    np.testing.assert_array_equal(one, other)


@EACH_KIND
def test_full_batch_is_the_source_in_order(kind):
  batch = pipeline.full_batch(KINDS[kind]())
  assert _elements([batch]) == list(range(SIZE))
  np.testing.assert_array_equal(batch['index'], np.arange(SIZE))


@EACH_KIND
@pytest.mark.parametrize('size', [1, 4, SIZE, SIZE + 1, 3 * SIZE])
def test_eval_batches_pass_once_over_the_source(kind, size):
  passes = [list(pipeline.eval_batches(KINDS[kind](), size))
            for _ in range(2)]
  chex.assert_trees_all_equal(*passes)
  batches = passes[0]
  assert len(batches) == -(-SIZE // size)
  assert all(b['x'].shape[0] == b['mask'].shape[0] == size for b in batches)
  mask = np.concatenate([b['mask'] for b in batches])
  elements = np.array(_elements(batches))
  assert sorted(elements[mask == 1]) == list(range(SIZE))
  assert set(mask) <= {0.0, 1.0}
  if size > 1:  # mixed
    assert elements[:SIZE].tolist() != list(range(SIZE))


def test_batches_from_memory_do_not_import_grain():
  # Grain takes two seconds, which training on the digits should not pay.
  code = (
      'import sys; from genjax.data import embedded, pipeline, toy\n'
      'next(pipeline.batches(embedded.digits("test"), 4, seed=0))\n'
      'print([m for m in ("grain", "tensorflow_datasets")'
      ' if m in sys.modules])')
  out = subprocess.run([sys.executable, '-c', code], check=True,
                       capture_output=True, text=True)
  assert out.stdout.strip() == '[]'


@pytest.mark.parametrize('options, match', [
    ({'batch_size': 0}, r'batch_size must be in \[1,.* got 0'),
    ({'seed': -1}, 'seed must be in'),
    ({'start_step': -1}, 'start_step must be in'),
    ({'num_threads': 0}, 'num_threads must be in'),
    ({'source': sources.ArraySource({'x': np.zeros((0, 2))})},
     'source must hold an element'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 2))}),
      'horizontal_flip': True}, 'horizontal_flip needs images'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 2))}), 'crop': 1},
     'crop needs images of more than 1 pixels a side'),
    ({'crop': 2}, 'crop needs images of more than 2 pixels a side'),
    ({'crop': -1}, 'crop must be non-negative'),
    ({'augment': 1.5}, r'augment must be in \[0, 1\]'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 8, 2), np.float32)}),
      'augment': 0.1}, 'augment needs images of more than 1 pixel a side'),
    ({'source': sources.ArraySource({'image': np.zeros((3, 8, 1, 1), np.uint8)}
                                    ), 'augment': 0.1}, 'augment needs images'),
])
def test_batches_refuse_bad_arguments_at_once(options, match):
  arguments = {'source': _in_memory(), 'batch_size': 2, 'seed': 0, **options}
  with pytest.raises(ValueError, match=match):
    pipeline.batches(**arguments)  # not only when the first one is taken


@pytest.mark.parametrize('options, match', [
    ({'batch_size': 0}, r'batch_size must be in \[1,'),
    ({'step': -1}, 'start_step must be in'),
    ({'step': 2**53, 'batch_size': 2**20}, r'fewer than 2\*\*63'),
    ({'source': sources.ArraySource({'x': np.zeros((0, 2))})},
     'source must hold an element'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 2))}),
      'horizontal_flip': True}, 'horizontal_flip needs images'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 2))}), 'crop': 1},
     'crop needs images of more than 1 pixels a side'),
    ({'crop': 2}, 'crop needs images of more than 2 pixels a side'),
    ({'crop': -1}, 'crop must be non-negative'),
    ({'augment': 1.5}, r'augment must be in \[0, 1\]'),
    ({'source': sources.ArraySource({'x': np.zeros((3, 8, 2), np.float32)}),
      'augment': 0.1}, 'augment needs images of more than 1 pixel a side'),
    ({'source': sources.ArraySource({'image': np.zeros((3, 8, 1, 1), np.uint8)}
                                    ), 'augment': 0.1}, 'augment needs images'),
])
def test_batch_at_refuses_bad_arguments(options, match):
  arguments = {'source': _in_memory(), 'batch_size': 2, 'step': 0, 'seed': 0,
               **options}
  with pytest.raises(ValueError, match=match):
    pipeline.batch_at(**arguments)


def test_eval_batches_refuse_an_empty_source():
  with pytest.raises(ValueError, match='hold an element'):
    pipeline.eval_batches(sources.ArraySource({'x': np.zeros((0, 2))}), 2)


@EACH_KIND
def test_processes_read_their_rows_of_the_same_batches(kind):
  """Also across the border of epochs, and each changed as in the whole."""
  how = dict(seed=3, horizontal_flip=True, crop=1, augment=0.5)
  whole = _take(4, KINDS[kind](), 6, **how)
  parts = [_take(4, KINDS[kind](), 6, rows=rows, **how)
           for rows in (np.array([0, 4, 5]), np.array([1, 2, 3]))]
  for batch, first, second in zip(whole, *parts):
    np.testing.assert_array_equal(first['index'], [0, 4, 5])
    joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
    chex.assert_trees_all_equal(batch, jax.tree.map(
        lambda x, order=np.argsort(joined['index']): x[order], joined))
