"""Laws of numbers of any range: nothing is lost on the way and back."""

import numpy as np
import pytest

from genjax.data import arrays
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sample_files
from genjax.data import scaled
from genjax.data import sources
from genjax.data.identity import identify
from genjax.data.levels import on_levels

_RNG = np.random.default_rng(0)
_SHARES = np.concatenate([[0, 1], _RNG.uniform(size=500)])

# A range far from 0 and narrow, one on both sides of it, the widest, one of
# numbers whose square is 0.
RANGES = [(273.15, 274.15), (-5.0, 3.0), (-9e29, 9e29), (1e-30, 2e-30)]


@pytest.mark.parametrize('type_', ['float32', 'float64'])
@pytest.mark.parametrize('low, high', RANGES)
def test_floats_come_back_to_a_millionth_of_their_range(low, high, type_):
  """To half of the last bit of x in [-1, 1], 2^-26 of the range, and of theirs.

  The ends come back themselves, and are -1 and 1 to the model.
  """
  values = (low + (high - low) * _SHARES).astype(type_)
  scale = scaled.find_scale('x', values[:, None, None])
  x = scaled.to_model(scale, values)
  assert x.dtype == np.float32 and (x[0], x[1]) == (-1, 1)
  back = scaled.from_model(scale, x)
  assert back.dtype == type_
  np.testing.assert_array_equal(back[:2], values[:2])
  wide = np.float64(scale.high) - scale.low
  most = np.spacing(np.abs(values).max()) / 2 + 1.01 * 2**-26 * wide
  assert np.abs(np.float64(back) - values).max() <= most
  if type_ == 'float64':
    assert most < 1e-6 * wide


@pytest.mark.parametrize('type_, low, high', [
    ('uint16', 0, 65535), ('uint16', 312, 4095), ('int16', -32768, 32767),
    ('int16', -7, -5)])
def test_whole_numbers_come_back_themselves(type_, low, high):
  """All there are in their range; what is beyond it is clipped to it."""
  values = np.arange(low, high + 1).astype(type_)
  scale = scaled.find_scale('x', values[:, None, None])
  assert scale == scaled.Scale(low, high, type_)
  assert scale.num_levels == len(values)
  x = scaled.to_model(scale, values)
  back = scaled.from_model(scale, x)
  assert back.dtype == type_
  np.testing.assert_array_equal(back, values)
  # Within half a level of each.
  near = x + .49 * np.float32(2 / (high - low)) * _RNG.uniform(-1, 1, x.shape)
  np.testing.assert_array_equal(scaled.from_model(scale, near), values)
  beyond = np.array([-1.5, -np.inf, np.nan, 1.5, np.inf])
  assert scaled.from_model(scale, beyond).tolist() == [low] * 3 + [high] * 2


def test_floats_beyond_the_range_are_clipped_and_nan_stays():
  scale = scaled.Scale(-1.0, 3.0, 'float16')
  back = scaled.from_model(scale, np.array([-2.0, .5, 2.0, np.inf, np.nan]))
  np.testing.assert_array_equal(back, np.float16([-1, 2, 3, 3, np.nan]))


def test_whole_numbers_are_on_the_levels_that_are_dequantised():
  """The mass of a level is that of its whole number."""
  scale = scaled.Scale(100, 4195, 'uint16')
  values = np.arange(100, 4196).astype(np.uint16)
  x = scaled.to_model(scale, values)
  levels = np.asarray(on_levels(x, scale.num_levels))
  np.testing.assert_allclose(levels, x, atol=2**-23)


@pytest.mark.parametrize('shape', [(30, 4, 6, 1), (30, 4, 6, 5), (30, 12, 2)])
def test_a_file_is_read_where_it_lies_by_the_scale_of_all_of_it(
    tmp_path, shape):
  """By parts too, whatever is held out; an epoch brings every row once."""
  array = _RNG.normal(size=shape).astype('>f4')
  np.save(tmp_path / 'x.npy', array)
  seen = []
  for held_out in (.5, .1):
    data = named.open_data(f'npy:{tmp_path}/x.npy', held_out=held_out)
    assert data.scale == scaled.Scale(array.min(), array.max(), 'float32')
    assert data.description == (len(data.train), shape[1:], ())
    base = data.train.source.values
    assert isinstance(base, np.memmap) and sources.in_memory(data.train)
    batch = pipeline.batch_at(data.train, len(data.train), 0, seed=3)
    x = np.concatenate([batch['x'], pipeline.full_batch(data.test)['x']])
    assert x.dtype == np.float32 and (x.min(), x.max()) == (-1, 1)
    seen.append(np.sort(scaled.from_model(data.scale, x), axis=0))
    np.testing.assert_array_equal(
        data.train[0]['x'], pipeline.full_batch(data.train)['x'][0])
  np.testing.assert_allclose(seen[0], np.sort(array, axis=0), atol=1e-6)
  np.testing.assert_array_equal(*seen)


def test_a_scale_is_found_part_by_part(monkeypatch):
  array = _RNG.integers(-50, 50, (20, 3, 2)).astype(np.int16)
  array[7, 0, 0], array[19, 2, 1] = -99, 77
  want = scaled.Scale(-99, 77, 'int16')
  for block in (1, 24, 2**24):
    monkeypatch.setattr(scaled, '_BLOCK', block)
    assert scaled.find_scale('x', array) == want
  array = array.astype(np.float64)
  array[19, 0, 0] = np.nan
  monkeypatch.setattr(scaled, '_BLOCK', 24)
  with pytest.raises(ValueError, match='finite numbers .* got nan'):
    scaled.find_scale('x', array)


@pytest.mark.parametrize('type_, written', [
    ('uint16', 'uint16'), ('int16', 'int16'), ('float64', 'float64'),
    ('float64', 'float32')])
def test_samples_are_read_by_the_scale_of_the_data(tmp_path, type_, written):
  """Not by their own, which is half as wide here."""
  data = _RNG.integers(100, 200, (9, 4, 3)).astype(type_)
  samples, path = (100 + data // 4).astype(written), str(tmp_path / 'x.npz')
  scale = scaled.find_scale('x', data)
  sample_files.write_samples(path, samples, None, ())
  source = sample_files.read_samples(
      path, sources.Description(9, (4, 3), ()), scale)
  wide = scale.high - scale.low
  np.testing.assert_allclose(
      pipeline.full_batch(source)['x'],
      2 * (samples.astype(float) - scale.low) / wide - 1, atol=2**-24)


def test_data_of_some_scale_are_told_from_others():
  array = _RNG.integers(0, 50, (20, 3, 2)).astype(np.uint16)
  scale = scaled.find_scale('x', array)
  other = array.copy()
  other[3, 1, 1] += 1
  ids = [identify(scaled.ScaledSource(values, scale)).data_id
         for values in (array, other, array.astype(np.int16), array.copy())]
  assert len(set(ids)) == 3 and ids[0] == ids[3]


@pytest.mark.parametrize('channels', [4, 5])
def test_many_channels_of_a_signal_are_remarked_on(tmp_path, caplog, channels):
  np.save(tmp_path / 'x.npy', _RNG.normal(size=(3, 6, channels)))
  arrays.npy_source(tmp_path / 'x.npy')
  assert ('want the shape [N, H, W, 1]' in caplog.text) == (channels > 4)
