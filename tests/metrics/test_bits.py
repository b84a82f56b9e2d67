"""Bits per dimension of models whose bits are known."""

import math

import numpy as np
import pytest

from genjax.metrics.bits import bits_per_dim


def test_a_uniform_model_of_8_bit_pixels_has_8_bits():
  """As a mass of 256 levels, and as a density on the dequantised range."""
  np.testing.assert_allclose(bits_per_dim(-784 * math.log(256), 784), 8)
  density = -784 * math.log(256 * 2 / 255)  # levels -1 ... 1, and their noise
  np.testing.assert_allclose(
      bits_per_dim(density, 784, level_width=2 / 255), 8)


def test_a_fair_coin_for_each_pixel_has_1_bit():
  """784 ln 2 nats: 543.427390 of a binary 28 x 28 image."""
  np.testing.assert_allclose(bits_per_dim(np.full(3, -543.427390), 784), 1,
                             rtol=1e-9)


@pytest.mark.parametrize('unit', [0.1, 3.0, 255.0])
def test_bits_of_levels_do_not_depend_on_the_unit(unit):
  """Stretching data divides its density, and widens its levels."""
  want = bits_per_dim(-5.0, 4, level_width=0.5)
  got = bits_per_dim(-5.0 - 4 * math.log(unit), 4, level_width=0.5 * unit)
  np.testing.assert_allclose(got, want)


@pytest.mark.parametrize('dims, width', [(0, None), (3, 0.0)])
def test_bits_per_dim_refuses_numbers_that_are_not_positive(dims, width):
  with pytest.raises(ValueError, match='must be positive'):
    bits_per_dim(-1.0, dims, level_width=width)


def test_bits_per_dim_of_16_bits_are_those_of_its_number():
  """The logarithm of all levels, 970,000 nats, is more than float16 holds."""
  want = bits_per_dim(-2048.0, 200_000, level_width=2 / 255)
  got = bits_per_dim(np.float16([-2048]), 200_000, level_width=2 / 255)
  np.testing.assert_array_equal(got, [want])
