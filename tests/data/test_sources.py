"""Laws of arrays as sources, views and held-out splits."""

import re

import numpy as np
import pytest

from genjax.data import pipeline
from genjax.data import sources


def _numbers(size, labels=True):
  arrays = {'x': np.arange(size, dtype=np.float32)[:, None]}
  if not labels:
    return sources.ArraySource(arrays)
  arrays['label'] = np.arange(size) % 3
  return sources.ArraySource(arrays, ('a', 'b', 'c'))


class _Lazy:
  """The same numbers as a source that is not in memory."""

  class_names = ('a', 'b', 'c')

  def __init__(self, size):
    self.size = size

  def __len__(self):
    return self.size

  def __getitem__(self, index):
    return {'x': np.float32([index]), 'label': index % 3}


def _values(source):
  return [int(source[i]['x'][0]) for i in range(len(source))]


@pytest.mark.parametrize('make', [_numbers, _Lazy])
@pytest.mark.parametrize('size, fraction, held', [
    (10, 0.3, 3), (2, 0.01, 1), (2, 0.99, 1), (97, 0.1, 10)])
def test_split_held_out_partitions(make, size, fraction, held):
  train, out = sources.split_held_out(make(size), fraction, seed=1)
  assert len(out) == held and len(train) == size - held
  assert sorted(_values(train) + _values(out)) == list(range(size))
  for part in (train, out):
    assert sources.class_names(part) == ('a', 'b', 'c')
    assert all(part[i]['label'] == v % 3
               for i, v in enumerate(_values(part)))


def test_split_held_out_is_the_same_for_every_kind_of_source():
  pairs = [sources.split_held_out(make(50), 0.2, seed=4)
           for make in (_numbers, _Lazy)]
  assert [_values(p) for p in pairs[0]] == [_values(p) for p in pairs[1]]
  assert isinstance(pairs[0][0], sources.ArraySource)
  assert isinstance(pairs[1][0], sources.View)


def test_split_held_out_depends_on_the_seed():
  outs = {tuple(_values(sources.split_held_out(_numbers(50), 0.2, s)[1]))
          for s in range(10)}
  assert len(outs) == 10


def _of_labels(label, lazy):
  label = np.asarray(label)
  names = tuple(map(str, range(label.max() + 1)))
  if not lazy:
    return sources.ArraySource({'x': np.zeros((len(label), 1), np.float32),
                                'label': label}, names)
  source = _Lazy(len(label))
  source.class_names = names
  source.labels = label  # as a folder has them: no element need be read
  source.__class__ = type('', (_Lazy,), {'__getitem__': None})
  return source


@pytest.mark.parametrize('lazy', [False, True])
@pytest.mark.parametrize('label, fraction', [
    ([0] * 20 + [1], 0.2), ([0, 0, 1, 1], 0.5), ([3, 3, 3, 1, 0, 0], 0.5),
    (list(range(9)) + [0] * 9, 0.5), (list(range(5)) * 2, 0.5)])
def test_split_held_out_leaves_every_class_in_training(lazy, label, fraction):
  label = np.asarray(label)
  count, moved = round(fraction * len(label)), 0
  for seed in range(50):
    train, out = sources.split_held_out(_of_labels(label, lazy), fraction,
                                        seed)
    inside, outside = map(sources.labels_of, (train, out))
    assert len(outside) == count
    assert sorted([*inside, *outside]) == sorted(label)
    assert set(inside) == set(label)
    # Where the draw leaves something of every class, it is as it was drawn.
    order = sources.permutation(len(label), seed, stream=3)
    if set(label[order[count:]]) == set(label):
      assert outside.tolist() == label[np.sort(order[:count])].tolist()
    else:
      moved += 1
  assert moved


@pytest.mark.parametrize('label, fraction, said', [
    ([0] * 20 + [1], 0.2, ['1 of 2 classes no element is held out: .1.']),
    ([0, 1, 2, 3], 0.75, ['3 of 4 classes no element is trained on',
                          '1 of 4 classes no element is held out']),
    ([0] * 9 + [1] * 9, 0.5, [])])
def test_split_held_out_says_which_classes_a_side_lacks(
    caplog, label, fraction, said):
  sources.split_held_out(_of_labels(label, False), fraction, seed=0)
  lines = [record.getMessage() for record in caplog.records]
  assert len(lines) == len(said)
  for line, want in zip(lines, said):
    assert re.search(want, line)


def test_permutation_is_uniform():
  # Where element 0 lands is uniform on 5 places: chi-square with 4 degrees of
  # freedom, below 18.5 except once in a thousand.
  places = [list(sources.permutation(5, seed, 0)).index(0)
            for seed in range(2000)]
  count = np.bincount(places, minlength=5)
  assert np.sum((count - 400) ** 2 / 400) < 18.5


@pytest.mark.parametrize('change', [
    {'seed': 1}, {'stream': 1}, {'epoch': 1}])
def test_permutation_differs_in_every_argument(change):
  base = dict(size=100, seed=0, stream=0, epoch=0)
  first, again = (sources.permutation(**base) for _ in range(2))
  np.testing.assert_array_equal(first, again)
  # Two independent permutations of 100 share about one place.
  assert np.sum(first == sources.permutation(**{**base, **change})) < 10


@pytest.mark.parametrize('change', [
    {'seed': 1}, {'stream': 1}, {'epoch': 1}])
def test_random_bits_do_not_overlap(change):
  # A counter that moves too little repeats one stream inside another.
  base = dict(size=1000, seed=0, stream=0, epoch=0)
  bits = [sources.random_bits(**{**base, **more}) for more in ({}, change)]
  assert not np.intersect1d(*bits).size


def test_random_bits_begin_where_they_are_asked_to():
  bits = sources.random_bits(40, 3, 1, 2)
  np.testing.assert_array_equal(
      sources.random_bits(16, 3, 1, 2, start=5), bits[20:36])


def test_describe_reads_shape_and_classes():
  assert sources.describe(_numbers(7)) == (7, (1,), ('a', 'b', 'c'))
  assert sources.describe(_numbers(7, labels=False)).num_classes is None
  assert sources.describe(_Lazy(7)).num_classes == 3


BYTES = np.zeros((2, 4, 4, 1), np.uint8)
POINTS = np.zeros((2, 3), np.float32)
# Columns that are none of a source's, and what the line must say.
BAD_COLUMNS = [
    ({'image': BYTES / 255}, "'image' must be uint8.*got float64"),
    ({'image': BYTES.astype(np.float32)}, 'got float32'),
    ({'image': BYTES.astype(np.uint16)}, 'got uint16'),
    ({'image': BYTES.astype(np.int8)}, 'got int8'),
    ({'image': BYTES.astype(bool)}, 'got bool'),
    ({'image': BYTES[..., 0]}, r'\[N, H, W, C\], got uint8 \(2, 4, 4\)'),
    ({'image': BYTES[None]}, r'got uint8 \(1, 2, 4, 4, 1\)'),
    ({'image': BYTES[:, :0]}, r'got uint8 \(2, 0, 4, 1\)'),
    ({'x': POINTS.astype(int)}, "'x' must be float32.*got int64"),
    ({'x': POINTS.astype(bool)}, 'got bool'),
    ({'x': POINTS.astype(complex)}, 'got complex128'),
    ({'x': POINTS[:, 0]}, r'\[N, D\], got float32 \(2,\)'),
    ({'x': POINTS[:, :0]}, r'got float32 \(2, 0\)'),
    ({'x': POINTS + np.float32([0, np.nan, np.inf])},
     'finite.*got 4 of 6 numbers'),
    ({'x': POINTS.astype(float) - 1e39}, 'finite in float32.*got 6 of 6'),
    ({'x': POINTS, 'image': BYTES}, "either 'image' or 'x', got .*, "),
    ({'y': POINTS}, "either 'image' or 'x', got"),
]
LABELS = [
    (np.zeros(2), "'label' must be int.*got float64"),
    (np.zeros(2, bool), 'got bool'),
    (np.zeros((2, 1), int), r'got int64 \(2, 1\)'),
    (np.array([0, -1]), r'\[0, 2\), got -1 to 0'),
    (np.array([0, 2]), r'\[0, 2\), got 0 to 2'),
    (np.array([0, 2**63], np.uint64), 'got 0 to 9223372036854775808'),
]
BAD = ([(columns, (), match) for columns, match in BAD_COLUMNS]
       + [({'x': POINTS, 'label': label}, ('a', 'b'), match)
          for label, match in LABELS])


@pytest.mark.parametrize('columns, names, match', BAD,
                         ids=[row[-1] for row in BAD])
def test_what_is_no_element_is_refused_at_the_door(columns, names, match):
  """Of a source in memory, and of any other when a batch is read."""
  with pytest.raises(ValueError, match=match) as error:
    sources.ArraySource(columns, names)
  assert '\n' not in str(error.value)
  items = [{name: a[i] for name, a in columns.items()}
           for i in range(len(next(iter(columns.values()))))]
  with pytest.raises(ValueError, match=match):
    pipeline.full_batch(_Items(items, names))


class _Items(list):
  """A list of elements as a source."""

  def __init__(self, items, names):
    super().__init__(items)
    self.class_names = names


@pytest.mark.parametrize('second, match', [
    ({'image': BYTES[0, :2], 'label': 0}, r"'image'.*\(4, 4, 1\) and \(2, "),
    ({'image': BYTES[0]}, "'label' of one shape, got .. and None"),
    ({'x': POINTS[0], 'label': 0}, "'image' of one shape, got .* and None")])
def test_elements_of_a_batch_are_of_one_kind(second, match):
  items = _Items([{'image': BYTES[0], 'label': 1}, second], ('a', 'b'))
  with pytest.raises(ValueError, match=match):
    pipeline.full_batch(items)


def test_elements_of_classes_have_labels():
  items = _Items([{'x': POINTS[0]}], ('a', 'b'))
  for call in (sources.describe, pipeline.full_batch):
    with pytest.raises(ValueError, match="2 classes must hold a 'label'"):
      call(items)


@pytest.mark.parametrize('columns', [
    {'x': POINTS}, {'x': POINTS.astype(float)}, {'x': POINTS[:0]},
    {'x': POINTS.astype(np.float16)}, {'x': POINTS + np.float32(3e38)},
    {'x': BYTES / np.float32(255)}, {'image': BYTES}, {'image': BYTES[:0]},
    {'image': BYTES, 'label': np.array([0, 1], np.uint8)}])
def test_what_is_an_element_is_taken(columns):
  names = ('a', 'b') if 'label' in columns else ()
  assert len(sources.ArraySource(columns, names)) in (0, 2)


@pytest.mark.parametrize('make', [_numbers, _Lazy])
@pytest.mark.parametrize('indices, match', [
    ([0, -1], r'\[0, 9\), got -1 to 0'), ([9], r'\[0, 9\), got 9 to 9'),
    ([0.5], r'int \[M\], got float64'),
    (np.ones(9, bool), r'int \[M\], got bool'),
    ([[0]], r'got int64 \(1, 1\)')])
def test_subset_refuses_what_is_no_index(make, indices, match):
  with pytest.raises(ValueError, match=match):
    sources.subset(make(9), indices)
  with pytest.raises(ValueError, match=match):
    sources.View(make(9), np.asarray(indices))


@pytest.mark.parametrize('make', [_numbers, _Lazy])
def test_subset_may_be_empty(make):
  assert len(sources.subset(make(9), [])) == 0


@pytest.mark.parametrize('call, match', [
    (lambda: sources.ArraySource({'x': np.zeros(3), 'label': np.zeros(2)}),
     'arrays must have one length'),
    (lambda: sources.ArraySource({'x': np.zeros(2), 'label': np.zeros(2)}),
     'must come together'),
    (lambda: sources.ArraySource({'x': np.zeros(2)}, ('a',)),
     'must come together'),
    (lambda: sources.ArraySource({}), 'arrays must have one length'),
    (lambda: sources.ArraySource({'x': np.float32(1)}), 'one length'),
    (lambda: sources.ArraySource({'x': POINTS, 'labels': np.arange(2)}),
     "and 'label' and 'vector', got 'x', 'labels'"),
    (lambda: sources.ArraySource({'x': POINTS, 'label': np.arange(2)},
                                 ('a', 'a')), 'class_names must differ'),
    (lambda: sources.ArraySource({'x': np.zeros(2), 'label': np.arange(2)},
                                 ('a',)), r'labels must be in \[0, 1\)'),
    (lambda: sources.describe(_numbers(0, labels=False)), 'hold an element'),
    (lambda: sources.split_held_out(_numbers(9), 0.0, 0), 'fraction must be'),
    (lambda: sources.split_held_out(_numbers(9), 1.0, 0), 'fraction must be'),
    (lambda: sources.split_held_out(_numbers(1), 0.5, 0), 'hold 2 elements'),
    (lambda: sources.split_held_out(_numbers(9), 0.5, -1), 'non-negative'),
])
def test_sources_refuse_bad_arguments(call, match):
  with pytest.raises(ValueError, match=match):
    call()
