import numpy as np
import pytest

from genjax.data import named
from genjax.data import toy
from genjax.data.sources import ArraySource


@pytest.mark.parametrize('name', ['digits', 'binarized_digits', 'toy:moons',
                                  'toy:spirals,turns=2,points=100'])
def test_open_data_has_train_and_test_of_one_kind(name):
  data = named.open_data(name, seed=1)
  train, test = (part[0] for part in data)
  assert train.keys() == test.keys()
  assert len(data.train) > len(data.test) > 0
  assert data.description.size == len(data.train)


def test_toy_sets_are_drawn_by_the_seed_and_apart():
  sets = [part.arrays['x'][:50] for seed in (0, 1)
          for part in named.open_data('toy:moons,points=1000', seed=seed)]
  assert len({x.tobytes() for x in sets}) == 4
  again = named.open_data('toy:moons,points=1000', seed=1).train
  np.testing.assert_array_equal(again.arrays['x'][:50], sets[2])


@pytest.mark.parametrize('name, options, message', [
    ('cats', {}, 'data: the part before ":" must be one of .* got \'cats\''),
    ('digits:3', {}, 'data: digits takes no argument, got 3'),
    ('digits', {'image_size': (8,)}, 'image_size: must be absent for digits'),
    ('toy:moons', {'held_out': 0.1}, 'held_out: must be absent for a toy set'),
    ('toy:dragons', {}, 'data: the toy set must be one of'),
    ('toy:moons,colour=1', {}, 'data: an option of moons must be one of'),
    ('toy:moons,noise=-1', {}, 'data: noise must be non-negative'),
    ('toy:moons,noise=nan', {}, 'data: noise must be a finite number'),
    ('toy:moons,points=1e12', {}, 'data: points must be a positive whole'),
    ('toy:moons,points=1.5', {}, 'data: points must be a positive whole'),
    ('folder:', {}, 'data: folder:<path> must name a folder'),
    ('folder:/x', {'image_size': (8, 10**6)},
     'image_size: must be at most 4096'),
])
def test_open_data_says_what_is_wrong(name, options, message):
  with pytest.raises(ValueError, match=message):
    named.open_data(name, **options)


def test_open_points_draws_as_many_to_test_with():
  data = named.open_points('line,slope=2,noise=0', named.CURVES, 100, 3)
  x, y = data.train.arrays['x'].T
  np.testing.assert_allclose(y, 2 * x - 0.3, atol=1e-5)
  assert len(data.train) == len(data.test) == 100
  assert not np.isin(data.test.arrays['x'][:, 0], x).any()
  classes = named.open_points('moons,points=60', toy.SETS, 100, 3)
  assert len(classes.train) == 60
  assert set(classes.train.arrays['label']) == {0, 1}


def test_some_data_are_all_or_those_of_even_places():
  train = named.open_data('digits').train
  x = train.arrays['image'] / 127.5 - 1
  np.testing.assert_allclose(named.some_of(train), x, atol=1e-6)
  many = ArraySource({'x': np.arange(7997., dtype=np.float32)[:, None]})
  np.testing.assert_array_equal(named.some_of(many)[:, 0],
                                np.arange(0, 7997, 4))
