import jax
import numpy as np
import pytest

from genjax.runs import keys


def test_streams_are_those_of_runs_on_disk():
  assert [keys.STREAMS[name] for name in (
      'init', 'training', 'grid', 'test', 'sample', 'figure')] == [*range(6)]
  want = jax.random.fold_in(jax.random.key(3), 1)
  assert keys.key(3, 'training') == want
  assert keys.key(3, 'training', 5, 0) == jax.random.fold_in(
      jax.random.fold_in(want, 5), 0)


def test_no_two_streams_are_one():
  places = [(seed, name, *parts) for seed in range(3) for name in keys.STREAMS
            for parts in ((), (0,), (1,), (0, 0))]
  for data in (
      [tuple(np.asarray(jax.random.key_data(keys.key(*p)))) for p in places],
      [keys.generator(*p).bytes(16) for p in places]):
    assert len(set(data)) == len(places)


def test_an_unknown_name_is_refused():
  for function in (keys.key, keys.generator):
    with pytest.raises(ValueError, match="name must be one of .* got 'smaple'"):
      function(0, 'smaple')
