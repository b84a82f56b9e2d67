"""What a run draws is in the range and of the type of its data."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.reports import draws
from genjax.reports.pictures import pictures
from genjax.runs.diffusion_settings import Settings


@pytest.mark.parametrize('settings, shape, want', [
    ({}, (1, 1, 1), np.uint8([0, 0, 128, 191, 255, 255])),
    ({}, (1,), np.float32([-2, -1, 0, .5, 1, 1.5])),
    ({'value_range': (100.0, 300.0), 'value_type': 'uint16'}, (1, 1, 1),
     np.uint16([100, 100, 200, 250, 300, 300])),
    ({'value_range': (-1.0, 3.0), 'value_type': 'float32'}, (1, 1),
     np.float32([-1, -1, 1, 2, 3, 3]))])
def test_samples_are_drawn_in_the_range_of_the_data(settings, shape, want):
  x = jnp.array([-2, -1, 0, .5, 1, 1.5]).reshape(6, *shape)
  run = types.SimpleNamespace(settings=Settings(**settings),
                              sample=lambda key, shape, cond: x)
  found = draws.draw('workdir', run, 6, None, 0)
  assert (found.dtype, found.shape) == (want.dtype, x.shape)
  np.testing.assert_array_equal(found.ravel(), want)


@pytest.mark.parametrize('channels, drawn', [
    (1, 1), (2, 1), (3, 3), (4, 4), (5, 1)])
def test_pictures_have_the_channels_that_can_be_seen(channels, drawn):
  x = np.linspace(-1.2, 1.2, 2 * 3 * 5 * 4 * channels, dtype=np.float32
                  ).reshape(2, 3, 5, 4, channels)
  found = pictures(x, (5, 4, channels))
  assert (found.dtype, found.shape) == (np.uint8, (2, 3, 5, 4, drawn))
  np.testing.assert_allclose(found / 127.5 - 1, np.clip(x[..., :drawn], -1, 1),
                             atol=1.01 / 255)
  signals = pictures(x[..., 0], (5, 4))
  assert signals.shape[:2] == (2, 3) and signals.shape[-1] == 3
