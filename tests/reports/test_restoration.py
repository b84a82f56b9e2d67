"""Restoration reported of a model that is known: draws are of the posterior.
"""

import collections
import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.data import embedded
from genjax.diffusion import exact
from genjax.diffusion import operators
from genjax.diffusion import process
from genjax.diffusion.model import fixed
from genjax.metrics import ranks
from genjax.reports import measurements
from genjax.reports import restoration

_PROCESS = process.edm(sigma_max=20.0)
_SHAPE = (2, 2, 1)
_COV = .2 * (.6 + .4 * np.eye(4))


def _run(monkeypatch, block=4000):
  """A run of which the denoiser is that of Gaussian images, with no params."""
  monkeypatch.setattr(restoration, '_BLOCK', block)
  denoiser = exact.gaussian(_PROCESS, jnp.zeros(4), jnp.asarray(_COV)).denoiser

  def make(_):
    return lambda params, cond=None: lambda x, t: denoiser(
        x.reshape(-1, 4), t).reshape(x.shape)

  monkeypatch.setattr(restoration, 'make_denoiser', make)
  named = collections.namedtuple('Named', 'process_of')(fixed(_PROCESS))
  parts = collections.namedtuple('Parts', 'diffusion')(named)
  model = collections.namedtuple('Model', 'parts')(parts)
  task = collections.namedtuple('Task', 'build')(lambda settings: model)
  settings = collections.namedtuple('Settings', 'data_std')(
      float(np.sqrt(_COV[0, 0])))
  return collections.namedtuple('Run', 'task, settings, params')(
      task, settings, {})


@pytest.mark.parametrize('solver, change', [
    ('smc', {'particles': 3}), ('repaint', {'repeats': 3}),
    ('pigdm', {'scale': .5})])
def test_each_effort_is_heeded(monkeypatch, solver, change):
  operator, y = measurements.operator_of('half', _SHAPE, 0), np.ones((1, 2))
  effort = restoration.Effort(4, 2, 1, 1.0)
  one, other = (restoration.restore(
      _run(monkeypatch), operator, solver, 3, y, .3, e, 0).x
                for e in (effort, dataclasses.replace(effort, **change)))
  assert not np.allclose(one, other)


@pytest.mark.parametrize('solver, calibrated', [('smc', True), ('dps', False)])
def test_draws_by_particles_are_calibrated_and_those_of_dps_are_not(
    monkeypatch, solver, calibrated):
  """Of 200 truths, 15 draws each, of the half that was not seen."""
  rng = np.random.default_rng(0)
  x = rng.multivariate_normal(np.zeros(4), _COV, 200)
  operator = measurements.operator_of('half', _SHAPE, 0)
  y = x[:, :2] + .3 * rng.normal(size=(200, 2))
  found = restoration.restore(
      _run(monkeypatch), operator, solver, 30, y, .3,
      restoration.Effort(15, 8, 1, 1.0), 0)
  assert found.x.shape == (200, 15, *_SHAPE)
  place = ranks.ranks(x[:, :2], found.x.reshape(200, 15, 4)[..., :2])
  low, high = ranks.spread(place, 15)[1:]
  assert (low < 1 < high) == calibrated and (low > 1) == (not calibrated)
  assert np.isfinite(found.log_evidence).all() == calibrated


def test_draws_of_an_image_do_not_depend_on_the_others(monkeypatch):
  operator = measurements.operator_of('random', _SHAPE, 0)
  y = np.random.default_rng(1).normal(size=(4, *operator.measured))

  def drawn(y):
    return restoration.restore(
        _run(monkeypatch, 5), operator, 'pigdm', 5, y, .3,
        restoration.Effort(3, 1, 1, 1.0), 0).x

  np.testing.assert_allclose(drawn(y)[:2], drawn(y[:2]), rtol=1e-4, atol=1e-5)


def test_measurements_are_what_they_are_called():
  x = embedded.patches(16, 16).arrays['image'][:2].astype(np.float32)
  apply = {name: np.asarray(measurements.operator_of(
      name, x.shape[1:], 0).apply(jnp.asarray(x))) for name in (
          'half', 'box:0.5', 'random:0.25', 'downsample:4', 'grey')}
  np.testing.assert_array_equal(apply['half'], x[:, :8].reshape(2, -1))
  edge = np.ones((16, 16), bool)
  edge[4:12, 4:12] = False
  np.testing.assert_array_equal(apply['box:0.5'], x[:, edge].reshape(2, -1))
  assert apply['random:0.25'].shape == (2, 64 * 3)
  np.testing.assert_allclose(apply['downsample:4'][:, 1, 2],
                             x[:, 4:8, 8:12].mean((1, 2)), rtol=1e-5)
  np.testing.assert_allclose(apply['grey'][..., 0], x.mean(-1), rtol=1e-5)
  again = measurements.operator_of('random:0.25', x.shape[1:], 1)
  assert not np.array_equal(again.apply(jnp.asarray(x)), apply['random:0.25'])
  blurred = measurements.operator_of('blur:2', x.shape[1:], 0)
  np.testing.assert_allclose(
      blurred.apply(jnp.asarray(x)), operators.blur(x.shape[1:], 2.0).apply(
          jnp.asarray(x)), rtol=1e-5)
