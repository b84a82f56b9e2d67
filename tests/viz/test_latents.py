"""Figures of codes are whole; ellipses are where the covariances say."""

import os

import numpy as np
from PIL import Image
import pytest

from genjax.viz import latents
from genjax.viz.classifiers import Map


def ellipses(num=3, seed=0):
  rng = np.random.default_rng(seed)
  root = rng.normal(size=(num, 2, 2))
  return latents.Ellipses(rng.normal(size=(num, 2)),
                          root @ np.swapaxes(root, 1, 2), np.arange(num))


def test_outlines_are_one_standard_deviation_away():
  """Mahalanobis' distance, all the way round."""
  given = ellipses()
  found = latents.outlines(given)
  for outline, centre, covariance in zip(found, given.centre,
                                         given.covariance):
    away = outline - centre
    squared = np.einsum('ai,ij,aj->a', away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(squared, 1, rtol=1e-6)
    np.testing.assert_allclose(away[:-1].mean(0), 0, atol=1e-6)


def test_outlines_of_one_dimension_are_flat():
  covariance = np.array([[[4.0, 0], [0, -1e-18]]])
  found = latents.outlines(latents.Ellipses(np.ones((1, 2)), covariance,
                                            np.zeros(1, int)))
  np.testing.assert_allclose(found[0, :, 1], 1, atol=1e-8)
  np.testing.assert_allclose(np.ptp(found[0, :, 0]), 4)


@pytest.mark.parametrize('names', [('a', 'b', 'c'), ()])
def test_save_latents_draws_each_class_in_its_colour(tmp_path, names):
  label = np.arange(30) % 3 if names else np.zeros(30, int)
  codes = Map(np.random.default_rng(1).normal(size=(30, 2)), label,
              ('first', 'second'))
  some = ellipses()
  some = some._replace(label=some.label if names else np.zeros(3, int))
  latents.save_latents(str(tmp_path / 'x.png'), codes, some, names, 'codes')
  assert os.listdir(tmp_path) == ['x.png']
  with Image.open(tmp_path / 'x.png') as picture:
    pixels = np.asarray(picture.convert('RGB')).astype(int)
  for colour, drawn in (((0, 114, 178), True), ((230, 159, 0), bool(names)),
                        ((0, 158, 115), bool(names))):
    near = np.all(np.abs(pixels - colour) < 3, axis=-1)
    assert (near.sum() > 50) == drawn
