"""Laws of an array in a file."""

import os

import numpy as np
import pytest

from genjax.data import arrays
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources

_RNG = np.random.default_rng(0)


def _save(tmp_path, array):
  path = tmp_path / 'x.npy'
  np.save(path, array)
  return path


@pytest.mark.parametrize('shape, as_read', [
    ((7, 4, 6), (4, 6, 1)), ((7, 4, 6, 1), (4, 6, 1)),
    ((7, 4, 6, 3), (4, 6, 3)), ((7, 4, 6, 4), (4, 6, 4))])
def test_bytes_are_images_and_read_where_they_lie(tmp_path, shape, as_read):
  array = _RNG.integers(0, 256, shape).astype(np.uint8)
  source = arrays.npy_source(_save(tmp_path, array))
  assert sources.describe(source) == (7, as_read, ())
  base = source.arrays['image']
  while base.base is not None and not isinstance(base, np.memmap):
    base = base.base
  assert isinstance(base, np.memmap)
  x = pipeline.full_batch(source)['x']
  np.testing.assert_array_equal(pipeline.to_uint8(x), array.reshape(x.shape))


@pytest.mark.parametrize('dtype', ['f2', 'f4', 'f8', '>f4'])
def test_floats_are_points_as_they_are(tmp_path, dtype):
  """To the last bit of float32, in whatever range."""
  array = (1e3 * _RNG.normal(size=(20, 3)) + 5e3).astype(dtype)
  data = named.open_data(f'npy:{_save(tmp_path, array)}', held_out=.25)
  assert (len(data.train), len(data.test)) == (15, 5)
  rows = np.concatenate([pipeline.full_batch(part)['x'] for part in data])
  assert rows.dtype == np.float32
  want = array.astype(np.float32)
  np.testing.assert_array_equal(rows[np.lexsort(rows.T)],
                                want[np.lexsort(want.T)])


@pytest.mark.parametrize('num, held_out, sizes', [
    (19, None, (19, None)), (20, None, (18, 2)), (104, None, (94, 10)),
    (104, 0.0, (104, None)), (5, .2, (4, 1))])
def test_a_tenth_of_enough_is_held_out_unless_it_is_said(
    tmp_path, num, held_out, sizes):
  array = np.arange(2.0 * num, dtype=np.float32).reshape(num, 2)
  data = named.open_data(f'npy:{_save(tmp_path, array)}', held_out=held_out)
  assert tuple(part if part is None else len(part) for part in data) == sizes


@pytest.mark.parametrize('array, message', [
    (np.zeros((3, 4, 4, 2), np.uint8), r'must hold uint8 .* \(3, 4, 4, 2\)'),
    (np.zeros((3, 4)), None),
    (np.zeros((3, 4), np.int32), 'must hold uint8 .* got int32'),
    (np.zeros((3, 4, 4, 3), np.float32), 'must vary, got 0 throughout'),
    (np.full((3, 4, 2), 7, np.uint16), 'must vary, got 7 throughout'),
    (np.array([[[1, np.nan]]], np.float32), 'must hold finite .* got nan'),
    (np.array([[[1, -np.inf]]]), 'must hold finite .* got -inf'),
    (np.array([[[1, 1e31]]]), 'must hold finite numbers of at most 1e.30, got'),
    (np.ones((3, 4, 2), np.int32), 'must hold uint8 .* got int32'),
    (np.ones((3, 4, 4, 1), np.complex64), 'must hold uint8 .* got complex64'),
    (np.ones((3, 4, 4, 1), bool), 'must hold uint8 .* got bool'),
    (np.ones((3, 4), np.uint16), 'must hold uint8 .* got uint16'),
    (np.ones((3, 4, 4, 1, 1), np.float32), r'must hold uint8 .* 4, 1, 1\)'),
    (np.ones((3, 0, 1), np.float32), r'must hold uint8 .* \(3, 0, 1\)'),
    (np.ones(3, np.float32), r'must hold uint8 .* \(3,\)'),
    (np.zeros((0, 4), np.float32), 'must hold uint8 .* got float32'),
    (np.full((3, 4), np.nan), "'x' must be finite in float32"),
    (np.asarray([{}]), 'plain numbers, got Array can.t be memory-mapped'),
    (b'no array', 'plain numbers, got'), (b'', 'plain numbers, got'),
    ('pipe', 'existing .npy file'), ('absent', 'existing .npy file')])
def test_what_is_no_data_is_refused_in_one_line(tmp_path, array, message):
  path = tmp_path / 'x.npy'
  if isinstance(array, np.ndarray):
    np.save(path, array)
  elif isinstance(array, bytes):
    path.write_bytes(array)
  elif array == 'pipe':
    os.mkfifo(path)
  if message is None:
    assert len(arrays.npy_source(path)) == 3
    return
  with pytest.raises(ValueError, match=message) as refused:
    arrays.npy_source(path)
  assert '\n' not in str(refused.value)


def test_an_archive_is_refused(tmp_path):
  np.savez(tmp_path / 'x.npz', np.zeros((3, 2)))
  with pytest.raises(ValueError, match='must be an .npy file, got an .npz'):
    arrays.npy_source(tmp_path / 'x.npz')
