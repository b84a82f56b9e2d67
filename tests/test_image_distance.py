"""Laws of the distances between images, and SSIM by its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import image_distance
from genjax.data import embedded
from tests import laws


def images(num=4, size=8, channels=3, seed=0):
  shape = (num, size, size, channels)
  return np.random.default_rng(seed).uniform(0, 1, shape)


# Each as one program: these tests take the time of compiling.
structural_similarity = jax.jit(
    image_distance.structural_similarity,
    static_argnames=('data_range', 'window', 'scale'))
pixel_distance = jax.jit(image_distance.pixel_distance)


def ssim(a, b, **options):
  return structural_similarity(a, b, data_range=1.0, **options)


def defined_ssim(a, b, window, data_range):
  """Wang et al. 2004, eq. 13, of two images [H, W, C], place by place."""
  at = np.arange(window) - (window - 1) / 2
  weight = np.exp(-(at[:, None]**2 + at**2) / (2 * 1.5**2))
  weight /= weight.sum()
  c1, c2 = (0.01 * data_range)**2, (0.03 * data_range)**2
  found = []
  for channel in range(a.shape[2]):
    for i in range(a.shape[0] - window + 1):
      for j in range(a.shape[1] - window + 1):
        x, y = (image[i:i + window, j:j + window, channel] for image in (a, b))
        mx, my = np.sum(weight * x), np.sum(weight * y)
        vx, vy, cov = (np.sum(weight * p) for p in (
            (x - mx)**2, (y - my)**2, (x - mx) * (y - my)))
        found.append((2 * mx * my + c1) * (2 * cov + c2)
                     / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
  return np.mean(found)


@pytest.mark.parametrize('height, width, used', [
    (16, 13, 11), (8, 8, 7), (7, 12, 7), (12, 6, 5), (1, 4, 1)])
@laws.float64
def test_structural_similarity_is_its_definition(height, width, used):
  """To rounding: the same sums in another order."""
  rng = np.random.default_rng(1)
  a = rng.uniform(0, 1, (height, width, 2))
  b = 0.7 * a + 0.3 * rng.uniform(0, 1, a.shape)
  np.testing.assert_allclose(ssim(a, b), defined_ssim(a, b, used, 1.0),
                             rtol=1e-9)


def test_structural_similarity_of_equal_images_is_one():
  """Flat ones too; to a few roundings of 2^-24."""
  x = np.concatenate([images(), np.zeros((1, 8, 8, 3))])
  np.testing.assert_allclose(ssim(x, x), 1.0, atol=5e-7)


def test_structural_similarity_is_symmetric_and_bounded():
  """Terms of a sum may come in another order: a few roundings."""
  a, b = images(50), images(50, seed=1)
  b[:25] = 1 - a[:25]
  found = np.asarray(ssim(a, b))
  np.testing.assert_allclose(found, ssim(b, a), atol=1e-6)
  assert found.min() >= -1 and found.max() < 1
  assert found[:25].max() < -0.5  # negatives


def test_structural_similarity_ignores_the_unit():
  """Bytes with a range of 255 are pixels in [0, 1] with a range of 1."""
  a, b = (embedded.digits('train').arrays['image'][i:i + 20] for i in (0, 20))
  got = structural_similarity(a, b, data_range=255.0)
  want = structural_similarity(a / 255, b / 255, data_range=1.0)
  # Products of bytes in float32 are exact, quotients are not: 2^-24 over the
  # smallest denominator, c2 = 9e-4.
  np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize('unit', [2.0**-66, 2.0**63])
def test_distances_are_equivariant_to_the_unit(unit):
  """Of white too; powers of two are exact."""
  a, b = (images(seed=seed).astype(np.float32) for seed in (0, 1))
  x, y = np.float32(unit) * a, np.float32(unit) * b
  np.testing.assert_array_equal(
      pixel_distance(x, y), np.float32(unit) * np.asarray(pixel_distance(a, b)))
  np.testing.assert_array_equal(
      structural_similarity(x, y, data_range=unit), ssim(a, b))


def test_pixel_distance_has_no_slope_where_images_are_equal():
  one = jnp.ones((2, 2, 2, 1))
  slope = jax.jit(jax.grad(lambda x: pixel_distance(x, one).sum()))
  np.testing.assert_array_equal(slope(one), np.zeros(one.shape))
  np.testing.assert_allclose(slope(one + 1), np.full(one.shape, 0.5))


@pytest.mark.parametrize('distance', [pixel_distance, ssim])
def test_distances_of_no_images_are_none(distance):
  for num, other in ((0, 2), (2, 0), (0, 0)):
    a, b = jnp.zeros((num, 4, 4, 1)), jnp.zeros((other, 4, 4, 1))
    assert image_distance.pairwise(distance, a, b).shape == (num, other)
    assert distance(a[:0], b[:0]).shape == (0,)


def test_pixel_distance_is_a_norm_of_differences():
  """Of bytes too, whose differences wrap around."""
  x = embedded.digits('train').arrays['image'][:9]
  a, b = x[:4], x[5:]
  want = np.linalg.norm((a.astype(float) - b).reshape(4, -1), axis=1)
  np.testing.assert_allclose(
      pixel_distance(a, b), want, rtol=1e-6)


@pytest.mark.parametrize('distance', [pixel_distance, ssim])
def test_pairwise_is_the_distance_of_each_pair(distance):
  """The same arithmetic, fused otherwise."""
  a, b = (jnp.asarray(images(n, seed=n), jnp.float32) for n in (3, 5))
  got = jax.jit(lambda a, b: image_distance.pairwise(distance, a, b))(a, b)
  np.testing.assert_allclose(got, distance(a[:, None], b[None]), rtol=2e-5)


def test_distances_keep_precision():
  a, b = images(2), images(2, seed=1)
  for dtype, want in ((jnp.bfloat16, jnp.float32), (jnp.float32, jnp.float32)):
    for distance in (pixel_distance, ssim):
      got = jax.eval_shape(distance, jnp.asarray(a, dtype), jnp.asarray(b))
      assert got.dtype == want and got.shape == (2,)


def test_structural_similarity_sees_structure_where_pixels_do_not():
  """Brightness and noise of one length: the noise breaks the structure."""
  x = 0.2 + embedded.patches(8).arrays['image'] * (0.6 / 255)
  noise = 0.1 * np.sign(images(8, 32, seed=2) - 0.5)
  lighter, noisy = x + 0.1, x + noise
  np.testing.assert_allclose(pixel_distance(x, lighter),
                             pixel_distance(x, noisy), rtol=1e-4)
  assert np.all(ssim(x, lighter) > ssim(x, noisy))


@pytest.mark.parametrize('call, said', [
    (lambda: ssim(images(size=8), images(size=9)), 'one size'),
    (lambda: ssim(np.zeros((8, 8)), np.zeros((8, 8))), 'H, W, C'),
    (lambda: ssim(np.zeros((0, 8, 1)), np.zeros((0, 8, 1))), 'hold a pixel'),
    (lambda: ssim(images(), images(), window=4), 'window must be odd, got 4'),
    (lambda: ssim(images(), images(), scale=0.0), 'scale must be positive'),
    (lambda: image_distance.structural_similarity(
        images(), images(), data_range=0.0), 'data_range must be positive'),
    (lambda: image_distance.pixel_distance(images(), images(channels=1)),
     'one size'),
])
def test_distances_refuse(call, said):
  with pytest.raises(ValueError, match=said):
    call()
