"""Laws of a folder of grey PNG files of 16 bits: nothing of them is lost."""

import struct
import zlib

import chex
import numpy as np
from PIL import Image
import pytest

from genjax.data import folder
from genjax.data import image_files
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sample_files
from genjax.data import scaled
from genjax.data import sources

GIB = 2**30
_RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def write(top, values, classes=1):
  """Pictures uint16 [N, H, W], in order of name; of classes in turn."""
  for i, value in enumerate(values):
    path = top / ('ab'[i % classes] if classes > 1 else '') / f'{i:03}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(value).save(path)
  return top


@pytest.fixture(name='values', scope='module')
def _values():
  """Of 12 bits, as of a camera: neither black nor white is 0 or 65535."""
  return _RNG.integers(300, 4096, (24, 6, 4)).astype(np.uint16)


@pytest.mark.parametrize('cache', [0.0, 1.0, 500 / GIB])
def test_a_folder_is_the_array_of_its_files_bit_for_bit(
    tmp_path, values, cache):
  """Scale, split, batches; kept in memory, on disk, or decoded every time."""
  write(tmp_path / 'in', values)
  np.save(tmp_path / 'x.npy', values[..., None])
  array = named.open_data(f'npy:{tmp_path}/x.npy', seed=2)
  for _ in range(2):
    data = named.open_data(f'folder:{tmp_path}/in', image_size=(6, 4), seed=2,
                           cache=cache)
    assert data.scale == array.scale == scaled.Scale(
        values.min(), values.max(), 'uint16')
    assert data.description == array.description
    assert sources.in_memory(data.train) == (cache == 1)
    for one, other in zip(data, array):
      chex.assert_trees_all_equal(pipeline.full_batch(one),
                                  pipeline.full_batch(other))
    chex.assert_trees_all_equal(*(
        pipeline.batch_at(each.train, 8, 3, seed=1, horizontal_flip=True)
        for each in (data, array)))
    back = scaled.from_model(data.scale, np.stack([
        data.train.source[i]['x'] for i in range(len(values))]))
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back, values[..., None])


def test_classes_go_with_their_pictures(tmp_path, values):
  top = write(tmp_path / 'in', values, classes=2)
  source = folder.folder_source(top, (6, 4), cache=1)
  batch = pipeline.full_batch(source)
  np.testing.assert_array_equal(batch['cond']['label'], np.repeat([0, 1], 12))
  np.testing.assert_array_equal(
      scaled.from_model(source.scale, batch['x'])[..., 0],
      np.concatenate([values[::2], values[1::2]]))


@pytest.mark.parametrize('low, high', [(0, 65535), (1000, 3000)])
def test_what_is_resized_keeps_its_range(low, high):
  """Lanczos' filter swings by a tenth beside an edge; 16 bits would wrap."""
  edge = np.repeat([low, high], 8)[:, None].repeat(16, 1).astype(np.uint16)
  out = image_files.fit_deep(Image.fromarray(edge), (64, 64))[..., 0]
  assert out[:30].max() < low + (high - low) / 8
  assert out[34:].min() > high - (high - low) / 8
  assert (out.min(), out.max()) == (low, high)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_the_orientation_of_the_camera_is_that_of_8_bits(
    tmp_path, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  deep = _RNG.integers(0, 256, (6, 6)).astype(np.uint16) * 257
  found = []
  for bits, pixels in ((16, deep), (8, (deep >> 8).astype(np.uint8))):
    Image.fromarray(pixels).save(tmp_path / f'{bits}.png', exif=exif)
    found.append(image_files.read(str(tmp_path / f'{bits}.png'), (6, 6),
                                  image_files.Form(1, bits == 16)))
  np.testing.assert_array_equal(found[0] >> 8, found[1])


def _of_mode(path, mode):
  """A 2 x 2 picture of 0x1234 in some mode; Pillow writes no RGB of 16 bits."""
  if mode != 'RGB;16':
    colour = {'I;16': 0x1234, 'L': 0x12, 'RGB': '#121212'}[mode]
    Image.new(mode, (2, 2), colour).save(path)
    return
  rows = (b'\0' + b'\x12\x34' * 6) * 2

  def chunk(name, data):
    return (struct.pack('>I', len(data)) + name + data
            + struct.pack('>I', zlib.crc32(name + data)))

  path.write_bytes(
      b'\x89PNG\r\n\x1a\n'
      + chunk(b'IHDR', struct.pack('>IIBBBBB', 2, 2, 16, 2, 0, 0, 0))
      + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


@pytest.mark.parametrize('modes, options, channels, deep', [
    (('I;16', 'L'), {}, 1, 1), (('I;16', 'I;16'), {'bits': 8}, 1, 2),
    (('I;16', 'I;16'), {'channels': 3}, 3, 2), (('I;16', 'RGB'), {}, 3, 1),
    (('RGB;16', 'RGB;16'), {}, 3, 2), (('RGB;16', 'I;16'), {}, 3, 2),
    (('RGB;16', 'RGB'), {'channels': 1}, 1, 1),
    (('L', 'L'), {}, 1, 0), (('RGB', 'L'), {}, 3, 0)])
def test_what_is_read_at_8_bits_is_said_in_a_line(
    tmp_path, caplog, modes, options, channels, deep):
  for i, mode in enumerate(modes):
    _of_mode(tmp_path / f'{i}.png', mode)
  source = folder.folder_source(tmp_path, 2, **options)
  assert source.scale is None
  for i in range(2):
    np.testing.assert_array_equal(
        source[i]['image'], np.full((2, 2, channels), 0x12, np.uint8))
  said = [line for line in caplog.messages if '16 bits' in line]
  assert len(said) == bool(deep)
  if deep:
    assert f'{deep} of 2 images of ' in said[0] and '\n' not in said[0]
  with pytest.raises(ValueError, match='must all be grey, opaque and of 16 '
                     'bits .*, got .* of 2 of 16 bits') as error:
    folder.folder_source(tmp_path, 2, **{**options, 'bits': 16, 'channels': 3})
  assert '\n' not in str(error.value)


def test_a_transparent_level_is_laid_over_white_at_8_bits(tmp_path, caplog):
  Image.fromarray(np.full((2, 2), 0x1234, np.uint16)).save(
      tmp_path / 'x.png', transparency=0x1234)
  np.testing.assert_array_equal(
      folder.folder_source(tmp_path, 2)[0]['image'], 255)
  assert '1 of 1 images' in caplog.text


def test_what_is_not_16_bits_of_whole_numbers_is_refused(tmp_path):
  with pytest.raises(ValueError, match='bits must be 8 or 16, got 12'):
    folder.folder_source(tmp_path, 2, bits=12)
  Image.new('I;16', (2, 2), 7).save(tmp_path / 'x.png')
  with pytest.raises(ValueError, match='must vary, got 7 throughout'):
    folder.folder_source(tmp_path, 2)
  with pytest.raises(ValueError, match='^bits: must be 8 or absent for digits'):
    named.open_data('digits', bits=16)
  Image.new('F', (2, 2)).save(tmp_path / 'x.png', 'TIFF')
  with pytest.raises(ValueError, match="x.png', got floating-point numbers"):
    folder.folder_source(tmp_path, 2)


@pytest.mark.parametrize('classes', [0, 2])
def test_samples_in_a_folder_are_those_in_an_npz(tmp_path, classes):
  """By the scale of the data, which is wider than theirs."""
  x = _RNG.integers(1000, 2000, (6, 3, 5, 1)).astype(np.uint16)
  names = ('a', 'b')[:classes]
  label = np.arange(6) % 2 if classes else None
  data = sources.Description(6, (3, 5, 1), names)
  scale, read = scaled.Scale(0, 65535, 'uint16'), []
  for out in ('of', 'of.npz'):
    sample_files.write_samples(f'{tmp_path}/{out}', x, label, names)
    read.append(sample_files.read_samples(f'{tmp_path}/{out}', data, scale))
    assert sources.class_names(read[-1]) == names
  order = np.argsort(label, kind='stable') if classes else np.arange(6)
  chex.assert_trees_all_equal(
      pipeline.full_batch(read[0]),
      pipeline.full_batch(sources.subset(read[1], order)))
  np.testing.assert_array_equal(
      scaled.from_model(scale, pipeline.full_batch(read[0])['x']), x[order])
  Image.new('L', (5, 3)).save(tmp_path / 'of' / ('a' * bool(classes)) / 'y.png')
  with pytest.raises(ValueError, match='must all be grey, opaque and of 16'):
    sample_files.read_samples(f'{tmp_path}/of', data, scale)
