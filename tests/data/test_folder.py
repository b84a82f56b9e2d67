"""Laws of a folder of image files."""

import functools
import itertools
import os
import struct
import zlib

import chex
import numpy as np
from PIL import Image
import pytest

from genjax.data import embedded
from genjax.data import folder
from genjax.data import image_files
from genjax.data import pipeline
from genjax.data import sources


def _save(path, pixels, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def _grey(value, size=4):
  return np.full((size, size, 3), value)


@pytest.fixture
def photographs(tmp_path):
  """24 crops of photographs, PNG and JPEG in turn."""
  crops = embedded.patches(24).arrays['image']
  for i, crop in enumerate(crops):
    _save(tmp_path / f'{i:02}.{"png" if i % 2 else "jpg"}', crop)
  return tmp_path, crops


def test_folder_reads_png_exactly_and_jpeg_closely(photographs):
  path, crops = photographs
  source = folder.folder_source(path, 32)
  assert len(source) == len(crops) and source.class_names == ()
  for i, crop in enumerate(crops):
    item = source[i]
    assert set(item) == {'image'} and item['image'].dtype == np.uint8
    # JPEG at quality 75 errs by a few grey levels in the mean.
    error = np.abs(item['image'].astype(int) - crop).mean()
    assert error == 0 if i % 2 else 0 < error < 12


def test_folder_classes_are_the_sorted_sub_folders(tmp_path):
  # Made out of order, at several depths and with suffixes in capitals.
  for name, value in [('b/y.JPEG', 30), ('a/x.PNG', 10), ('c/deep/z.jpg', 50),
                      ('a/w.png', 20), ('b/.hidden.png', 99),
                      ('.git/v.png', 99)]:
    _save(tmp_path / name, _grey(value))
  (tmp_path / 'a' / 'notes.txt').write_text('not an image')
  (tmp_path / 'README.md').write_text('not an image')
  source = folder.folder_source(tmp_path, 4)
  assert source.class_names == ('a', 'b', 'c')
  got = [(int(item['image'].mean().round()), int(item['label']))
         for item in (source[i] for i in range(len(source)))]
  assert got == [(20, 0), (10, 0), (30, 1), (50, 2)]
  assert sources.describe(source) == (4, (4, 4, 3), ('a', 'b', 'c'))


def test_folder_is_in_order_of_name(tmp_path):
  values = np.random.default_rng(0).permutation(30)
  for sub in ('', 'a'):
    for value in values:
      _save(tmp_path / f'p{sub}' / sub / f'{value:02}.png', _grey(value))
    source = folder.folder_source(tmp_path / f'p{sub}', 4)
    assert [source[i]['image'][0, 0, 0] for i in range(30)] == list(range(30))


def test_folder_top_level_images_ignore_empty_sub_folders(tmp_path):
  _save(tmp_path / 'x.png', _grey(1))
  (tmp_path / 'cache').mkdir()
  assert len(folder.folder_source(tmp_path, 4)) == 1


@pytest.mark.parametrize('shape', [(40, 20), (20, 40), (20, 20), (7, 5)])
@pytest.mark.parametrize('size', [(8, 8), (16, 16), (6, 20)])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_fit_has_the_size_asked_for(shape, size, channels):
  image = Image.new('RGB', shape[::-1], (9, 9, 9))
  out = image_files.fit(image, size, channels)
  chex.assert_shape(out, (*size, channels))
  np.testing.assert_array_equal(out[..., :3], 9)
  np.testing.assert_array_equal(out[..., 3:], 255)


def _save_kinds(folder, *modes):
  for i, mode in enumerate(modes):
    folder.mkdir(exist_ok=True)
    Image.new('RGBA', (4, 4), (200, 100, 50, 128 if 'A' in mode else 255)
              ).convert(mode).save(folder / f'{i}.png')
  return folder


@pytest.mark.parametrize('modes, channels', [
    (('L', '1', 'I;16'), 1), (('L', 'RGB'), 3), (('LA', 'L'), 3),
    (('RGB', 'RGBA'), 3), (('P', 'L'), 3)])
def test_folder_has_the_channels_of_its_files(
    tmp_path, caplog, modes, channels):
  """Grey where all files are; where only some are, a line says so."""
  path = _save_kinds(tmp_path / 'x', *modes)
  for verify in (True, False):
    source = folder.folder_source(path, 4, verify=verify)
    assert source[0]['image'].shape == (4, 4, channels)
  mixed = channels == 3 and set(modes) & {'L', '1', 'I;16'}
  assert ('are grey and will be read as RGB' in caplog.text) == bool(mixed)
  for chosen in (1, 3, 4):
    source = folder.folder_source(path, (4, 3), channels=chosen)
    assert source[0]['image'].shape == (4, 3, chosen)
  with pytest.raises(ValueError, match='channels must be 1, 3 or 4, got 2'):
    folder.folder_source(path, 4, channels=2)


def test_folder_keeps_opacity_as_a_fourth_channel(tmp_path):
  """Without the colours of what is not seen, in a picture that shrinks too."""
  pixels = np.zeros((8, 8, 4), np.uint8)
  pixels[:] = 255, 0, 0, 0  # red that nobody sees
  pixels[:, ::2] = 0, 0, 200, 255
  _save(tmp_path / 'x.png', pixels)
  same = folder.folder_source(tmp_path, 8, channels=4)[0]['image']
  np.testing.assert_array_equal(same[:, ::2], pixels[:, ::2])
  np.testing.assert_array_equal(same[:, 1::2], [[[255, 255, 255, 0]] * 4] * 8)
  half = folder.folder_source(tmp_path, 4, channels=4)[0]['image'].astype(int)
  inside = half[:, 1:-1]  # at the border a filter sees unevenly
  assert np.abs(inside[..., :3] - [0, 0, 200]).max() <= 3
  # Half of it is seen; the filter lets a little of stripes so fine pass.
  assert np.abs(inside[..., 3] - 127.5).max() <= 10


@pytest.mark.parametrize('wide', [False, True])
@pytest.mark.parametrize('levels, dtype, fit, atol', [
    (8, np.uint8, functools.partial(image_files.fit, channels=1), 1.01),
    # Half a level for rounding, and a little for float32.
    (2001, np.uint16, image_files.fit_deep, .55)])
def test_fit_crops_the_centre(wide, levels, dtype, fit, atol):
  """Of a ramp of so many levels a pixel, which every symmetric filter keeps.

  Halving rows 10...19 puts 10.5 + 2 j of them into row j, up to rounding.
  """
  ramp = np.broadcast_to(levels * np.arange(30)[:, None], (30, 10))
  want = np.broadcast_to(levels * (10.5 + 2 * np.arange(5))[:, None], (5, 5))
  if wide:
    ramp, want = ramp.T, want.T
  out = fit(Image.fromarray(ramp.astype(dtype)), (5, 5))
  assert (out.dtype, out.shape) == (dtype, (5, 5, 1))
  np.testing.assert_allclose(out[..., 0], want, atol=atol)


def test_fit_does_not_alias():
  # A board of single pixels averages to mid grey when shrunk; a filter that
  # picks pixels gives black and white.
  board = np.indices((64, 64)).sum(0) % 2 * 255
  out = image_files.fit(Image.fromarray(board.astype(np.uint8)), (8, 8), 1)
  assert np.abs(out.astype(int) - 127.5).max() < 12


def test_fit_keeps_an_image_of_the_size():
  pixels = embedded.patches(1, size=16).arrays['image'][0]
  np.testing.assert_array_equal(
      image_files.fit(Image.fromarray(pixels), (16, 16), 3), pixels)


def test_fit_of_a_large_jpeg_is_that_of_its_pixels(tmp_path):
  # The shortcut (decoding at a fraction of the size) must not show.
  smooth = np.linspace(0, 255, 512) + np.zeros((512, 1))
  pixels = np.stack([smooth, smooth.T, 255 - smooth], -1)
  _save(tmp_path / 'x.jpg', pixels, quality=95)
  (item,) = [folder.folder_source(tmp_path, 16)[0]]
  want = image_files.fit(Image.fromarray(pixels.astype(np.uint8)), (16, 16), 3)
  assert np.abs(item['image'].astype(int) - want).max() <= 4


@pytest.mark.parametrize('orientation, turned', [
    (1, lambda a: a),
    (2, lambda a: a[:, ::-1]),
    (3, lambda a: a[::-1, ::-1]),
    (6, lambda a: np.rot90(a, -1)),
    (8, lambda a: np.rot90(a)),
])
def test_folder_honours_the_orientation_of_the_camera(
    tmp_path, orientation, turned):
  pixels = embedded.patches(1, size=8).arrays['image'][0]
  exif = Image.Exif()
  exif[0x0112] = orientation
  _save(tmp_path / 'x.png', pixels, exif=exif)
  np.testing.assert_array_equal(
      folder.folder_source(tmp_path, 8)[0]['image'], turned(pixels))


@pytest.mark.parametrize('mode, colour, want', [
    ('L', 100, 100),
    ('1', 1, 255),
    ('P', 0, 0),
    ('RGBA', (0, 0, 0, 0), 255),  # clear: white behind
    ('RGBA', (0, 0, 0, 255), 0),
    ('LA', (40, 255), 40),
    ('I;16', 60000, 60000 // 256),
])
def test_folder_reads_every_kind_of_png(tmp_path, mode, colour, want):
  Image.new(mode, (6, 6), colour).save(tmp_path / 'x.png')
  for channels in (1, 3):
    image = folder.folder_source(tmp_path, 3, channels=channels, bits=8)[0][
        'image']
    np.testing.assert_array_equal(image, np.full((3, 3, channels), want))


def _chunk(name, data):
  return (struct.pack('>I', len(data)) + name + data
          + struct.pack('>I', zlib.crc32(name + data)))


def _png(path, depth, colour, row, clear=b'', *, width=1, after=b'',
         packed=None):
  """A square PNG of equal rows, written by hand; `after` follows its pixels."""
  header = struct.pack('>IIBBBBB', width, width, depth, colour, 0, 0, 0)
  palette = bytes([0] * 3 + [64] * 3 + [128] * 3)
  packed = zlib.compress((b'\0' + row) * width) if packed is None else packed
  path.write_bytes(
      b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', header)
      + (_chunk(b'PLTE', palette) if colour == 3 else b'')
      + (_chunk(b'tRNS', clear) if clear else b'')
      + _chunk(b'IDAT', packed) + after + _chunk(b'IEND', b''))


# Depth and type of the file, a row of it, tRNS, and the greys that are meant:
# section 11.3.2.1 of the specification of PNG. What is transparent is white.
@pytest.mark.parametrize('depth, colour, row, clear, want', [
    (1, 0, b'\x40', b'\0\0', [255, 255]),
    (1, 0, b'\x40', b'\0\1', [0, 255]),
    (2, 0, b'\x1b', b'\0\1', [0, 255, 170, 255]),
    (4, 0, b'\x05\xaf', b'\0\5', [0, 255, 170, 255]),
    (8, 0, b'\x00\x05\xaa', b'\0\5', [0, 255, 170]),
    (16, 0, b'\0\0\0\x07\x05\x00\xaa\x07', b'\0\x07', [0, 255, 5, 170]),
    (16, 0, b'\xaa\x00\xaa\x07', b'\xaa\x07', [170, 255]),
    (8, 2, b'\5\5\5\7\7\7', b'\0\5\0\5\0\5', [255, 7]),
    (16, 2, b'\5\1' * 3 + b'\7\1' * 3, b'\5\1' * 3, [255, 7]),
    (8, 3, b'\0\1\2', b'\xff\0\x80', [0, 255, 191]),  # 128 / 2 + 255 / 2
    (8, 3, b'\0\1\2', b'\xff\0', [0, 255, 128]),
    (2, 3, b'\x18', b'\xff\0\x80', [0, 255, 191, 0]),
    (8, 4, b'\x28\xff\x28\0', b'', [40, 255]),
    (16, 4, b'\x28\1\xff\xff\x28\1\0\0', b'', [40, 255]),
    (16, 6, b'\x28\1' * 3 + b'\xff\xff' + b'\x28\1' * 3 + b'\0\0', b'',
     [40, 255]),
])
@pytest.mark.parametrize('channels', [1, 3])
def test_folder_lays_transparent_parts_over_white(
    tmp_path, depth, colour, row, clear, want, channels):
  _png(tmp_path / 'x.png', depth, colour, row, clear, width=len(want))
  image = folder.folder_source(tmp_path, len(want), channels=channels)[0][
      'image']
  np.testing.assert_array_equal(
      image, np.broadcast_to(np.array(want)[:, None], image.shape))


def test_folder_streams_every_file_once_an_epoch(photographs):
  path, crops = photographs
  source = folder.folder_source(path, 32)
  stream = pipeline.batches(source, 8, seed=0)
  for _ in range(2):
    x = np.concatenate([b['x'] for b in itertools.islice(stream, 3)])
    distance = np.abs(
        x[:, None] - pipeline.to_model_range(crops)).mean((2, 3, 4))
    assert sorted(distance.argmin(1)) == list(range(24))


def _broken(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content)


def _encoded(tmp_path, name):
  # Noise does not compress: the file is pixels, not headers.
  noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
  _save(tmp_path / 'aside' / name, noise)
  content = (tmp_path / 'aside' / name).read_bytes()
  (tmp_path / 'aside' / name).unlink()
  (tmp_path / 'aside').rmdir()
  return content


def _damage(content, how):
  half = len(content) // 2
  flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1:]
  # Cut behind the headers, so that only decoding can tell.
  return {'empty': b'', 'text': b'hello', 'cut': content[:-half // 4],
          'flipped bit': flipped}[how]


@pytest.mark.parametrize('name, how', [
    ('x.png', 'empty'), ('x.png', 'text'), ('x.png', 'cut'),
    ('x.png', 'flipped bit'), ('x.jpg', 'empty'), ('x.jpg', 'text'),
    ('x.jpg', 'cut')])
def test_folder_finds_broken_images_at_opening(tmp_path, name, how):
  content = _damage(_encoded(tmp_path, name), how)
  _save(tmp_path / 'a.png', _grey(1))
  _broken(tmp_path / name, content)
  with pytest.raises(ValueError) as error:
    folder.folder_source(tmp_path, 8)
  message = str(error.value)
  assert str(tmp_path / name) in message and 'repair or remove' in message
  assert '\n' not in message
  # Without the pass it is found when it is read, with the same line, also
  # through the threads of the pipeline.
  lazy = folder.folder_source(tmp_path, 8, channels=3, verify=False)
  with pytest.raises(ValueError, match='repair or remove'):
    next(pipeline.batches(lazy, 2, seed=0))


@pytest.mark.parametrize('options', [
    {'packed': b'no zlib'}, {'packed': zlib.compress(b'\0\0\0\0')[:-1]},
    {'packed': zlib.compress(b'\0\0')}, {'after': b'\0\0\0\7tEXt'},
    {'after': _chunk(b'tEXt', b'a\0b')[:-1] + b'?'}])
def test_folder_unpacks_pixels_and_what_follows_at_opening(tmp_path, options):
  # With checksums that are right, but for the last one.
  _png(tmp_path / 'a.png', 8, 0, b'\0\0', width=2)
  assert len(folder.folder_source(tmp_path, 2)) == 1
  _png(tmp_path / 'x.png', 8, 0, b'\0\0', width=2, **options)
  with pytest.raises(ValueError, match=r"remove '.*/x.png', got"):
    folder.folder_source(tmp_path, 2)


def test_folder_refuses_a_png_without_pixels(tmp_path):
  _png(tmp_path / 'x.png', 8, 0, b'', width=1)
  content = (tmp_path / 'x.png').read_bytes()
  (tmp_path / 'x.png').write_bytes(
      content[:33] + _chunk(b'IEND', b''))  # the signature and the header
  for verify in (True, False):
    with pytest.raises(ValueError, match=r"remove '.*/x.png', got"):
      folder.folder_source(tmp_path, 1, verify=verify)[0]


def test_folder_names_a_file_lost_later(tmp_path):
  _save(tmp_path / 'x.png', _grey(1))
  source = folder.folder_source(tmp_path, 4)
  os.remove(tmp_path / 'x.png')
  with pytest.raises(ValueError, match=r"'.*/x.png', got .*No such file"):
    source[0]


def _make_mixed(path):
  for name in ('top.png', 'a/x.png', 'b/y.png'):
    _save(path / name, _grey(1))


def _make_gap(path):
  _save(path / 'a' / 'x.png', _grey(1))
  (path / 'b').mkdir()


def _make_other(path):
  _broken(path / 'x.webp', b'')


@pytest.mark.parametrize('make, options, match', [
    (lambda p: p.rmdir(), {}, "must be an existing folder, got '{path}'"),
    (lambda p: None, {}, "'{path}' must hold .png, .jpg, .jpeg files"),
    (_make_other, {}, "'{path}' must hold .png, .jpg, .jpeg files"),
    (_make_mixed, {}, "'{path}' must hold images either .*: move them, "
     'got 1 beside the sub-folders a, b'),
    (_make_gap, {}, "sub-folder of '{path}' must hold images: remove .* b$"),
    (lambda p: None, {'image_size': 0}, 'image_size must be positive, got 0'),
    (lambda p: None, {'channels': 2}, 'channels must be 1, 3 or 4, got 2'),
])
def test_folder_refuses_in_one_line(tmp_path, make, options, match):
  path = tmp_path / 'photos'
  path.mkdir()
  make(path)
  with pytest.raises(ValueError, match=match.format(path=path)) as error:
    folder.folder_source(path, **{'image_size': 8, **options})
  assert '\n' not in str(error.value)
