"""Laws of arrays as sources, views and held-out splits."""

import numpy as np
import pytest

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


def test_describe_reads_shape_and_classes():
  assert sources.describe(_numbers(7)) == (7, (1,), ('a', 'b', 'c'))
  assert sources.describe(_numbers(7, labels=False)).num_classes is None
  assert sources.describe(_Lazy(7)).num_classes == 3


@pytest.mark.parametrize('call, match', [
    (lambda: sources.ArraySource({'x': np.zeros(3), 'label': np.zeros(2)}),
     'arrays must have one length'),
    (lambda: sources.ArraySource({'x': np.zeros(2), 'label': np.zeros(2)}),
     'must come together'),
    (lambda: sources.ArraySource({'x': np.zeros(2)}, ('a',)),
     'must come together'),
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
