"""What is measured of paths between images."""

import numpy as np

from genjax.reports import interpolation
from genjax.reports.table import as_text


def test_make_measure_is_what_numpy_finds():
  rng = np.random.default_rng(0)
  x, train = (rng.normal(size=(n, 2, 2, 1)).astype(np.float32)
              for n in (4, 20))
  features = lambda x: x.reshape(len(x), 4)[:, :3] * 2
  found = interpolation.make_measure(train, features, lambda x: x[:, 0, 0, 0])(
      x)

  def apart(a, b):
    return np.linalg.norm((a[:, None] - b[None]).reshape(
        len(a), len(b), -1), axis=-1)

  for points, reference, length, nearest in (
      (x, train, found.pixel_length, found.nearest_pixels),
      (features(x), features(train), found.feature_length,
       found.nearest_features)):
    table = apart(points, points)
    np.testing.assert_allclose(length, sum(table[i, i + 1] for i in range(3)),
                               rtol=1e-5)
    np.testing.assert_allclose(nearest, apart(points, reference).min(1),
                               rtol=1e-4)
  written = interpolation.as_json(found)
  assert written['nearest_pixels']['worst'] == found.nearest_pixels.max()
  assert written['log_density']['worst'] == x[:, 0, 0, 0].min()
  np.testing.assert_allclose(written['log_density']['mean'],
                             x[:, 0, 0, 0].mean(), rtol=1e-6)
  none = interpolation.as_json(interpolation.make_measure(train, None, None)(x))
  assert none['feature_length'] is none['log_density'] is None
  assert as_text(interpolation.as_table({'a': none})).split()[-1] == '-'
