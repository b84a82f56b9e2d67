"""The true densities of toy sets."""

import numpy as np
import pytest
from scipy import integrate

from genjax.data import toy
from genjax.reports import density


@pytest.mark.parametrize('name', toy.SETS)
def test_true_density_is_normalised_and_that_of_the_set(name, monkeypatch):
  """Its mean over draws is what it is over itself: the entropy.

  Few draws of the curve make it noisy, which a fine grid sees through.
  """
  monkeypatch.setattr(toy, '_CURVE_POINTS', 4096)
  log_density = density.true_density(name)
  line = (np.arange(160) + 0.5) * 4.6 / 160 - 2.3
  mesh = np.stack(np.meshgrid(line, line), -1)
  nats = log_density(mesh.reshape(-1, 2)).reshape(160, 160)
  values = np.exp(nats)
  np.testing.assert_allclose(
      integrate.trapezoid(integrate.trapezoid(values, line), line), 1,
      atol=0.02)
  entropy = -np.sum(values * np.where(values > 0, nats, 0)) * (4.6 / 160)**2
  draws = toy.toy_source(name, 2000, 1).arrays['x']
  scores = -log_density(draws.astype(float))
  # The curve of few draws is a little too sharp.
  error = 4 * scores.std() / 2000**0.5 + 0.03
  assert abs(scores.mean() - entropy) < error
