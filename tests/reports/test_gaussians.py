"""The quadrature that finds the numbers of Gaussians another way."""

import math

import jax.numpy as jnp
import numpy as np

from genjax.reports import gaussians
from tests import laws


@laws.float64
def test_quadrature_finds_the_moments_of_a_mixture():
  """Not only of one Gaussian: two, of equal weights and standard deviation s.
  """
  scale, apart, size = 0.5, 2.0, 3.0

  def log_density(x):
    z = (x[:, None] - jnp.array([-apart, apart])) / scale
    return (jnp.logaddexp(*(-0.5 * z**2).T) + math.log(size / 2)
            - math.log(scale * math.sqrt(2 * math.pi)))

  log_z, found = gaussians.quadrature(log_density, gaussians.Moments(0.3, 1.0))
  np.testing.assert_allclose(
      (log_z, *found), (math.log(size), 0, math.hypot(scale, apart)),
      atol=1e-12)
