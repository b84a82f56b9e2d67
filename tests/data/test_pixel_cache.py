"""A folder decoded once is the folder decoded every time."""

import itertools
import os
import pathlib
import time

import chex
import numpy as np
from PIL import Image
import pytest

from genjax.data import folder
from genjax.data import image_files
from genjax.data import named
from genjax.data import pipeline
from genjax.data import pixel_cache
from genjax.data.identity import identify

GIB = 2**30
ONE = 500 / GIB  # room for one set of pictures: 288 bytes of pixels, and more


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  """The folder of the cache's files, which is not there yet."""
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache' / 'genjax' / 'images'


def write(top, seed=0, mode='RGB'):
  pixels = np.random.default_rng(seed).integers(0, 256, (6, 4, 4, 3), np.uint8)
  for i, image in enumerate(pixels):
    path = top / 'ba'[i % 2] / f'{i}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert(mode).save(path)
  return str(top)


@pytest.fixture(name='pictures')
def make_pictures(tmp_path):
  return write(tmp_path / 'data')


@pytest.fixture
def never_decoded(monkeypatch):
  def refuse(*args, **kwargs):
    raise AssertionError('an image was opened')

  return lambda: monkeypatch.setattr(image_files.Image, 'open', refuse)


def all_of(source):
  return [source[i] for i in range(len(source))]


@pytest.mark.parametrize('mode', ['RGB', 'L'])
@pytest.mark.parametrize('held_out', [0.0, 0.4])
def test_batches_are_the_same_bit_for_bit(
    tmp_path, never_decoded, mode, held_out):
  name = f'folder:{write(tmp_path / "data", mode=mode)}'
  options = dict(image_size=(4,), held_out=held_out, seed=1)

  def seen(cache):
    data = named.open_data(name, **options, cache=cache)
    stream = pipeline.batches(data.train, 4, seed=1, horizontal_flip=True)
    other = [] if data.test is None else list(
        pipeline.eval_batches(data.test, 4))
    np.testing.assert_array_equal(
        pipeline.full_batch(data.train)['x'], pipeline.to_model_range(
            np.stack([item['image'] for item in all_of(data.train)])))
    return (list(itertools.islice(stream, 5)), other,
            all_of(data.train)), identify(data.train)

  (plain, known), (first, _) = seen(0), seen(1)
  never_decoded()  # the second start
  again, same = seen(1)
  chex.assert_trees_all_equal(plain, first, again)
  chex.assert_trees_all_equal_shapes_and_dtypes(plain, again)
  assert known == same


def test_a_changed_file_is_decoded_and_the_others_are_as_they_were(pictures):
  before = all_of(folder.folder_source(pictures, 4, cache=1))
  path = os.path.join(pictures, 'a', '3.png')
  status = os.stat(path)
  # Of the same length, if it can be, and of the same time.
  with Image.open(path) as image:
    image.transpose(Image.Transpose.ROTATE_180).save(path)
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  after = all_of(folder.folder_source(pictures, 4, cache=1))
  same = [np.array_equal(a['image'], b['image'])
          for a, b in zip(before, after)]
  assert same == [True, False, True, True, True, True]


def test_size_and_channels_have_a_cache_each(pictures):
  for size, channels in ((4, None), (2, None), (4, 1), ((2, 4), 4), (4, 3)):
    plain, *kept = (
        all_of(folder.folder_source(pictures, size, channels=channels,
                                    cache=cache)) for cache in (0, 1, 1))
    for images in kept:
      chex.assert_trees_all_equal(plain, images)


@pytest.mark.parametrize('harm', [
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(b'nothing'),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
    lambda path: path.write_bytes(path.read_bytes()[:200]),
    lambda path: path.write_bytes(
        path.read_bytes()[:200] + bytes([path.read_bytes()[200] ^ 1])
        + path.read_bytes()[201:]),
    lambda path: path.write_bytes(path.read_bytes()[:20] + b'!'
                                  + path.read_bytes()[21:]),
])
def test_a_damaged_file_is_decoded_again(
    pictures, home, caplog, never_decoded, harm):
  before = all_of(folder.folder_source(pictures, 4, cache=1))
  (path,) = home.iterdir()
  good = path.read_bytes()
  harm(path)
  chex.assert_trees_all_equal(
      all_of(folder.folder_source(pictures, 4, cache=1)), before)
  assert 'decoded again' in caplog.text and path.read_bytes() == good
  never_decoded()
  folder.folder_source(pictures, 4, cache=1)


@pytest.mark.parametrize('obstacle', ['cache', 'cache/genjax/images'])
def test_what_cannot_be_written_stays_in_memory(
    pictures, tmp_path, caplog, obstacle):
  (tmp_path / obstacle).parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / obstacle).write_text('a file')
  source = folder.folder_source(pictures, 4, cache=1)
  assert source.pixels is not None
  assert caplog.text.count('cannot be kept for the next start') == 1
  assert (tmp_path / obstacle).read_text() == 'a file'


def test_nothing_is_left_of_a_write_that_failed(pictures, home, monkeypatch):
  def full(*args):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(pixel_cache.os, 'replace', full)
  assert folder.folder_source(pictures, 4, cache=1).pixels is not None
  assert not list(home.iterdir())


def test_the_least_recently_used_is_dropped(tmp_path, home):
  kept = {}
  for seed in range(3):
    pictures = write(tmp_path / f'{seed}', seed)
    before = set(home.glob('*.npy'))
    folder.folder_source(pictures, 4, cache=2 * ONE)
    (kept[seed],) = set(home.glob('*.npy')) - before
    os.utime(kept[seed], (100 + seed,) * 2)
    if seed == 1:  # used again, and so the later of the two
      folder.folder_source(tmp_path / '0', 4, cache=2 * ONE)
  assert [kept[seed].exists() for seed in range(3)] == [True, False, True]


def test_what_a_kill_left_is_removed_in_time(pictures, home):
  home.mkdir(parents=True)
  for name, age in (('old', 7200), ('new', 60)):
    path = home / f'{name}.npy.1.partial'
    path.write_bytes(b'half')
    os.utime(path, (time.time() - age,) * 2)
  folder.folder_source(pictures, 4, cache=1)
  assert [p.name for p in home.glob('*.partial')] == ['new.npy.1.partial']


@pytest.mark.parametrize('cache, mode, kept', [
    (0, 'RGB', False), (95 / GIB, 'RGB', False), (287 / GIB, 'RGB', False),
    (288 / GIB, 'RGB', True), (95 / GIB, 'L', False), (96 / GIB, 'L', True)])
def test_a_folder_that_does_not_fit_is_read_as_it_was(
    tmp_path, home, never_decoded, cache, mode, kept):
  pictures = write(tmp_path / 'data', mode=mode)
  source = folder.folder_source(pictures, 4, cache=cache)
  plain = all_of(source)
  assert (source.pixels is not None) == kept
  assert home.exists() == (cache > 0)
  chex.assert_trees_all_equal(all_of(folder.folder_source(pictures, 4)), plain)
  # Room for it is made use of, and what there is is none to a smaller one.
  for other in (1, cache):
    again = folder.folder_source(pictures, 4, cache=other)
    assert (again.pixels is not None) == (other == 1 or kept)
    chex.assert_trees_all_equal(all_of(again), plain)
  if cache:
    never_decoded()
    folder.folder_source(pictures, 4, cache=cache)


def test_files_that_do_not_fit_are_not_verified_again(
    pictures, home, never_decoded):
  folder.folder_source(pictures, 4, cache=100 / GIB)
  (path,) = home.iterdir()
  assert path.stat().st_size < 200  # no pixel of it
  with open(os.path.join(pictures, 'a', '1.png'), 'ab') as file:
    file.write(b'more')  # which a PNG may end in
  never_decoded()
  with pytest.raises(ValueError, match='an image was opened'):
    folder.folder_source(pictures, 4, cache=100 / GIB)


def test_a_broken_file_is_named_as_without_it(pictures, home):
  path = pathlib.Path(pictures) / 'a' / '1.png'
  path.write_bytes(path.read_bytes()[:60])
  said = set()
  for cache in (0, 1):
    with pytest.raises(ValueError, match="a/1.png', got ") as error:
      folder.folder_source(pictures, 4, cache=cache)
    said.add(str(error.value))
  assert len(said) == 1 and not home.exists()
