import os
import shutil

import numpy as np
from PIL import Image
import pytest

from genjax.data import identity
from genjax.data.folder import folder_source
from genjax.data.identity import first_change
from genjax.data.identity import identify
from genjax.data.sources import ArraySource
from genjax.data.sources import split_held_out
from genjax.data.sources import subset


def images(seed, num=6):
  return np.random.default_rng(seed).integers(0, 256, (num, 4, 4, 3), np.uint8)


@pytest.fixture(name='folder')
def make_folder(tmp_path):
  """Six pictures of two classes."""
  for i, image in enumerate(images(0)):
    os.makedirs(tmp_path / 'data' / 'ab'[i % 2], exist_ok=True)
    Image.fromarray(image).save(tmp_path / 'data' / 'ab'[i % 2] / f'{i}.png')
  return str(tmp_path / 'data')


def of(folder, known=None):
  return identify(folder_source(folder, 4), known)


def test_arrays_are_told_by_values_type_and_order():
  x = np.arange(12, dtype=np.float32).reshape(6, 2)
  label = np.arange(6) % 2
  sources = [{'x': x}, {'x': x + 1e-6}, {'x': x[::-1]}, {'x': x[:5]},
             {'x': x.astype(np.float64)}, {'x': x.reshape(6, 1, 2)}]
  ids = [identify(ArraySource(arrays)).data_id for arrays in sources]
  ids.append(identify(
      ArraySource({'x': x, 'label': label}, ('a', 'b'))).data_id)
  assert len(set(ids)) == len(ids)
  assert identify(ArraySource({'x': x.copy()})).data_id == ids[0]


def test_of_a_large_array_rows_at_both_ends_count(monkeypatch):
  monkeypatch.setattr(identity, '_WHOLE', 64)
  x = np.zeros((1000, 2), np.float32)
  ids = {identify(ArraySource({'x': x})).data_id}
  for row in (0, -1):
    changed = x.copy()
    changed[row] = 1
    ids.add(identify(ArraySource({'x': changed})).data_id)
  assert len(ids) == 3


@pytest.mark.parametrize('whole', [64, 2**28])
def test_a_part_of_a_file_is_told_as_its_copy_is(whole, tmp_path, monkeypatch):
  """By all rows and by some: runs on copies know their data again."""
  monkeypatch.setattr(identity, '_WHOLE', whole)
  image = images(0, num=40)
  np.save(tmp_path / 'x.npy', image)
  mapped = np.load(tmp_path / 'x.npy', mmap_mode='r')
  rows, others = np.arange(0, 40, 3), np.array([5, 0, 7])
  for choose in (
      lambda s: subset(s, rows), lambda s: split_held_out(s, .5, 1)[0],
      lambda s: subset(subset(s, rows), others)):
    copy, part = (choose(ArraySource({'image': a})) for a in (image, mapped))
    assert isinstance(copy, ArraySource) and not isinstance(part, ArraySource)
    assert identify(copy) == identify(part)
    np.testing.assert_array_equal(copy[1]['image'], part[1]['image'])


def test_views_and_splits_are_told_apart(folder):
  source = folder_source(folder, 4)
  parts = [source, subset(source, [0, 1, 2]), subset(source, [0, 2, 1]),
           *split_held_out(source, 0.3, 0), split_held_out(source, 0.3, 7)[0]]
  ids = [identify(part).data_id for part in parts]
  assert len(set(ids)) == len(ids)
  assert identify(subset(source, [0, 1, 2])).data_id == ids[1]


def test_a_source_of_items_is_told_by_them():
  class Items:
    """Neither arrays nor files."""

    def __init__(self, x):
      self.x = x

    def __len__(self):
      return len(self.x)

    def __getitem__(self, index):
      return {'image': self.x[index]}

  first, same, other = (
      identify(Items(images(seed))).data_id for seed in (0, 0, 1))
  assert first == same != other


def test_a_folder_is_told_by_names_and_content_wherever_it_lies(
    folder, tmp_path):
  before = of(folder)
  assert set(before.files) == {f'{"ab"[i % 2]}/{i}.png' for i in range(6)}
  shutil.copytree(folder, tmp_path / 'copy', copy_function=shutil.copyfile)
  assert of(str(tmp_path / 'copy')).data_id == before.data_id
  os.utime(os.path.join(folder, 'a', '0.png'), (0, 0))
  assert of(folder, before.files).data_id == before.data_id


@pytest.mark.parametrize('act, said', [
    (lambda top: Image.fromarray(images(9)[0]).save(f'{top}/a/2.png'),
     "another 'a/2.png'"),
    (lambda top: os.rename(f'{top}/a/2.png', f'{top}/a/9.png'),
     "data without 'a/2.png'"),
    (lambda top: os.remove(f'{top}/b/3.png'), "data without 'b/3.png'"),
    (lambda top: shutil.copy(f'{top}/b/3.png', f'{top}/b/0.png'),
     "data with the new 'b/0.png'"),
])
def test_the_first_file_that_changed_is_named(folder, act, said):
  before = of(folder)
  act(folder)
  now = of(folder, before.files)
  assert now.data_id != before.data_id
  assert first_change(before.files, now.files) == said


def test_a_file_is_read_again_only_where_size_or_time_changed(
    folder, monkeypatch):
  known = of(folder).files
  read = []
  digest = identity._digest
  monkeypatch.setattr(identity, '_digest', lambda path, size: read.append(
      os.path.basename(path)) or digest(path, size))
  of(folder, known)
  assert not read
  os.utime(os.path.join(folder, 'b', '3.png'), (0, 0))
  of(folder, known)
  assert read == ['3.png']


def test_no_change_is_named_where_nothing_is_known():
  assert first_change({}, {'a': (1, 2, 'x')}) is None
