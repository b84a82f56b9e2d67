"""Densities of pixels against scipy's, and how their floor is chosen."""

import math

import numpy as np
from scipy import stats

from genjax.metrics import pixel_densities


def test_pixel_densities_are_those_of_scipy_and_of_the_best_floor(monkeypatch):
  """Of two far clusters as thin as noise, a floor of their distance is bad."""
  rng = np.random.default_rng(0)
  width, num = 1 / 64, 2000
  x = np.sign(rng.normal(size=(num, 1))) + width * np.round(
      rng.normal(0, 2, (num, 3)))
  train, test = x[num // 2:], x[:num // 2]
  monkeypatch.setattr(pixel_densities, '_FLOORS', (1.0, 0.02, 0.9))
  monkeypatch.setattr(pixel_densities, '_COMPONENTS', 2)
  monkeypatch.setattr(pixel_densities, '_STEPS', 3)
  found = pixel_densities.fit_and_score(0, train, test, width)

  def gaussian(train, test):
    """Its mean over the noise is exact: E (x + u)^2 = x^2 + width^2 / 12."""
    covariance = np.cov(train.T, ddof=0) + np.eye(3) * width**2 / 12
    law = stats.multivariate_normal(train.mean(0), covariance)
    return law.logpdf(test) - (
        np.trace(np.linalg.inv(covariance)) * width**2 / 24)

  # The noise is drawn ten times for each image, twice for those of the fit:
  # less than a hundredth of a nat in the mean of a thousand.
  np.testing.assert_allclose(found['gaussian'].nats.mean(),
                             gaussian(train, test).mean(), atol=0.02)
  ours, theirs = train[:, 0] > 0, test[:, 0] > 0
  nats = np.empty(len(test))
  for side in (False, True):
    nats[theirs == side] = gaussian(train[ours == side],
                                    test[theirs == side]) + math.log(
                                        np.mean(ours == side))
  np.testing.assert_allclose(found['mixture'].nats.mean(), nats.mean(),
                             atol=0.02)
  assert '0.02' in found['mixture'].note


def test_floor_of_the_mixture_is_chosen_by_images_it_was_not_fitted_to(
    monkeypatch):
  """A component may shrink to the few images it was given, and shall not."""
  monkeypatch.setattr(pixel_densities, '_FLOORS', (1e-3, 0.8))
  monkeypatch.setattr(pixel_densities, '_STEPS', 15)
  train, test = np.random.default_rng(0).normal(size=(2, 60, 4))
  found = pixel_densities.fit_and_score(0, train, test, 1e-3)
  assert '0.8' in found['mixture'].note
