"""Laws of the geometric augmentation, and of the numbers that tell it."""

import numpy as np
import pytest
import scipy.stats

from genjax.data import augment

_RNG = np.random.default_rng(0)


def _change(number=1, **given):
  """The same change of `number` images."""
  return augment.Change(*(np.full(number, given.get(name, 0.0))
                          for name in augment.Change._fields))


def _bits(number, seed=0):
  return np.random.default_rng(seed).integers(
      0, 2**64, (number, augment.WORDS), dtype=np.uint64)


def _images(*shape):
  return _RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize('given', [{}, {'direction': 1.0}])
def test_nothing_is_changed_where_zeros_are_told(given):
  """To the last bit, beside others that are changed."""
  x = _images(3, 6, 5, 2)
  change = _change(3, **given)
  change.angle[1] = 1.0
  got, told = augment.changed(x, change), augment.told(change)
  np.testing.assert_array_equal(got[[0, 2]], x[[0, 2]])
  np.testing.assert_array_equal(told[[0, 2]], 0)
  assert np.abs(got[1] - x[1]).max() > 0.1 and told[1].any()


@pytest.mark.parametrize('name, axis', [('x_flip', 2), ('y_flip', 1)])
def test_flips_exchange_the_sides(name, axis):
  x = _images(2, 6, 5, 2)
  np.testing.assert_array_equal(
      augment.changed(x, _change(2, **{name: 1.0})), np.flip(x, axis))


@pytest.mark.parametrize('right, down', [
    (1, 0), (0, 1), (-3, 2), (20, -9)])
def test_whole_pixels_are_a_shift_of_the_mirrored_image(right, down):
  """Eighths of 16 and 8 pixels. All other weights are 0."""
  x = _images(2, 8, 16, 3)
  wide = np.pad(x, [(0, 0), (20, 20), (20, 20), (0, 0)], 'reflect')
  want = wide[:, 20 - down:28 - down, 20 - right:36 - right]
  got = augment.changed(x, _change(2, right=right / 2, down=float(down)))
  np.testing.assert_array_equal(got, want)


def test_beyond_its_borders_an_image_is_mirrored():
  """As the middle of a larger image that was mirrored before."""
  x = _images(2, 8, 16, 3)
  wide = np.pad(x, [(0, 0), (24, 24), (24, 24), (0, 0)], 'reflect')
  turned = dict(scale=-2.0, angle=0.4)
  got = augment.changed(x, _change(2, right=0.3, down=0.9, **turned))
  want = augment.changed(wide, _change(
      2, right=0.3 * 16 / 64, down=0.9 * 8 / 56, **turned))
  np.testing.assert_allclose(got, want[:, 24:-24, 24:-24], atol=1e-5)


@pytest.mark.parametrize('quarters', [1, 2, -1])
@pytest.mark.parametrize('side', [5, 6])
def test_a_quarter_of_a_turn_is_rot90(side, quarters):
  x = _images(2, side, side, 2)
  got = augment.changed(x, _change(2, angle=quarters * np.pi / 2))
  # Coordinates are off by 1e-15, weights by a rounding of float32.
  np.testing.assert_allclose(got, np.rot90(x, quarters, (1, 2)), atol=1e-5)


@pytest.mark.parametrize('given', [
    {'scale': 1.5}, {'scale': -1.0}, {'angle': 0.6}, {'right': 0.7},
    {'down': -0.3}, {'stretch': 1.0}, {'stretch': -1.5, 'direction': 0.8},
    {'scale': 0.8, 'angle': -0.4, 'stretch': 1.2, 'direction': 2.0,
     'right': 0.4, 'down': 0.6}])
def test_a_wave_is_the_wave_at_the_place_where_each_pixel_was(given):
  """One by one and together: undone in the complex plane, last first."""
  height, width, change = 32, 24, _change(**given)
  y, x = np.mgrid[:height, :width]
  middle = complex((width - 1) / 2, -(height - 1) / 2)
  z = x - 1j * y - middle  # upwards, from the centre
  vector = np.array([0.2, 0.15])

  def wave(z):
    return np.cos(z.real * vector[0] + z.imag * vector[1] + 0.5)

  (scale, angle, stretch, direction, right, down) = (
      a[0] for a in change[2:])
  at = z - complex(width * right, -height * down) / 8
  at = at * np.exp(-1j * direction)
  at = at.real * 2**(-0.2 * stretch) + 1j * at.imag * 2**(0.2 * stretch)
  at = at * np.exp(1j * (direction - angle)) * 2**(-0.2 * scale)
  got = augment.changed(wave(z)[None, ..., None], change)[0, ..., 0]
  # Where all four neighbours are within the image.
  inside = (np.abs(at.real) < middle.real - 2) & (
      np.abs(at.imag) < -middle.imag - 2)
  assert inside.mean() > 0.3
  # Keys' error is t (1 - t) (2 t - 1) / 12 of the third derivative, and of the
  # order of 1 / 50 of the fourth: along both axes less than 2e-4.
  assert np.abs(got - wave(at))[inside].max() < 4e-4
  assert np.abs(wave(z) - wave(at)).max() > 0.1


def test_channels_stay_within_their_values():
  x = np.sign(_images(50, 7, 9, 3))  # edges that a cubic overshoots
  x[..., 2] = 0.3
  got = augment.changed(x, augment.drawn(_bits(50), 1.0))
  assert np.abs(got[..., :2]).max() == 1
  np.testing.assert_array_equal(got[..., 2], np.float32(0.3))


@pytest.mark.parametrize('probability', [0.0, 0.12, 1.0])
def test_changes_are_drawn_by_the_laws_of_table_6(probability):
  """Each number is 0 as often as it should be, and of its law elsewhere."""
  number = 20_000
  change = augment.drawn(_bits(number), probability)
  often = {'x_flip': 0.5, 'y_flip': probability / 2}
  made = {name: getattr(change, name) != 0
          for name in augment.Change._fields if name != 'direction'}
  for name, where in made.items():
    p = often.get(name, probability)
    # Five standard deviations; 0 and 1 are certain.
    assert abs(where.mean() - p) <= 5 * np.sqrt(p * (1 - p) / number), name
    assert set(getattr(change, name)) <= {0.0, 1.0} or name not in often
  np.testing.assert_array_equal(made['right'], made['down'])
  del made['down']
  if probability == 0.12:  # independent
    ones = np.stack([made[name] for name in made])
    off = np.corrcoef(ones) - np.eye(len(ones))
    assert np.abs(off).max() < 5 / np.sqrt(number)
  if probability:
    turns = scipy.stats.uniform(-np.pi, 2 * np.pi)
    assert scipy.stats.kstest(change.direction, turns.cdf).pvalue > 1e-3
    laws = dict.fromkeys(('scale', 'stretch', 'right', 'down'),
                         scipy.stats.norm) | {'angle': turns}
    for name, law in laws.items():
      values = getattr(change, name)
      assert scipy.stats.kstest(values[values != 0], law.cdf).pvalue > 1e-3
    several = np.stack([getattr(change, name)[made['right']]
                        for name in ('right', 'down')])
    assert abs(np.corrcoef(several)[0, 1]) < 5 / np.sqrt(several.shape[1])


def test_extreme_bits_are_finite_changes():
  bits = np.zeros((2, augment.WORDS), np.uint64)
  bits[1] = 2**64 - 1
  change = augment.drawn(bits, 1.0)
  assert np.isfinite(change).all()
  np.testing.assert_allclose(change.scale[0], -change.scale[1])


def test_the_numbers_tell_the_change():
  """All of it, but that stretched and shrunk look alike by half a turn."""
  change = augment.drawn(_bits(100, 1), 0.5)
  told = augment.told(change)
  assert told.shape == (100, augment.SIZE) and told.dtype == np.float32
  np.testing.assert_allclose(
      told[:, [0, 1, 2, 7, 8]], np.stack(
          [change.x_flip, change.y_flip, change.scale, change.right,
           change.down], 1), rtol=1e-6)
  np.testing.assert_allclose(np.arctan2(told[:, 4], told[:, 3] + 1),
                             change.angle, atol=1e-5)
  vector = told[:, 5] + 1j * told[:, 6]
  np.testing.assert_allclose(
      vector * np.exp(-1j * change.direction), change.stretch, atol=1e-6)
