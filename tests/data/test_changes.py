"""Changes of images do what their names say."""

import numpy as np

from genjax.data import changes


def test_change_does_what_it_says():
  x = np.zeros((2, 9, 9, 1), np.float32) - 0.5
  x[:, 4, 2] = 0.9
  got = changes.change(x, np.random.default_rng(3))
  moved = got['shift, 1 pixel']
  assert np.argwhere(moved[0, ..., 0] > 0).tolist() == [[4, 3]]
  np.testing.assert_allclose(np.unique(got['brightness, +10 %']), [-0.3, 1.0],
                             rtol=1e-6)
  noise = (got['noise, 10 %'] - x)[x < 0]
  # 160 draws of scale .2: three standard errors.
  assert abs(noise.std() - 0.2) < 3 * 0.2 / np.sqrt(2 * noise.size)
  # The bright pixel is two to the left of the centre: down from there, by the
  # sine of 15 degrees times two, or up by as much.
  turned = got['rotation, 15°'][0, ..., 0] + 0.5
  rows, columns = np.indices(turned.shape)
  at = [np.sum(i * turned) / turned.sum() for i in (rows, columns)]
  assert abs(abs(at[0] - 4) - 2 * np.sin(np.pi / 12)) < 0.15
  assert abs(at[1] - (4 - 2 * np.cos(np.pi / 12))) < 0.15
