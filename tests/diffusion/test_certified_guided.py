"""What the certificate measures of guidance and of restoration."""

import functools

import numpy as np
import pytest

from genjax.diffusion import certified_guidance as guidance
from genjax.diffusion import certified_restoration as restoration
from genjax.reports import certificate_guided as guided
from tests import laws

_W = np.array(guidance.SCALES)


@pytest.fixture
def few(monkeypatch):
  monkeypatch.setattr(guidance, 'STARTS', 16)
  monkeypatch.setattr(guidance, '_TOLERANCE', 1e-8)
  monkeypatch.setattr(guidance, 'CHAINS', 250)
  monkeypatch.setattr(guidance, 'PARTICLES', 128)
  monkeypatch.setattr(guidance, 'CHAIN_STEPS', 50)


def test_starts_have_their_moments_exactly():
  x = guidance.starts(64)
  np.testing.assert_allclose(x.mean(0), 0, atol=1e-12)
  np.testing.assert_allclose(x.var(0), 1, rtol=1e-12)


@pytest.mark.parametrize('name, other', [
    ('classifier_free', 1.0),
    pytest.param('autoguidance', .5, marks=pytest.mark.slow),
    pytest.param('classifier', 1.0, marks=pytest.mark.slow)])
@laws.float64
def test_a_row_of_linear_guidance_is_the_closed_form(few, name, other):
  """v^w u^(1 - w), and less than that of the tilted law."""
  found = guidance.measure(name)
  variance = np.array([row.variance for row in found])
  np.testing.assert_allclose(variance, .25**_W * other**(1 - _W), rtol=1e-5)
  tilted = 1 / (_W / .25 + (1 - _W) / other)
  assert np.all(variance[1:] < .95 * tilted[1:])
  for row, scale in zip(found, guidance.SCALES):
    known = guidance.known(name, scale)
    np.testing.assert_allclose(row[:2], known.guided, atol=1e-5)
    np.testing.assert_allclose(known.tilted[1], 1 / (
        scale / .25 + (1 - scale) / other), rtol=1e-12)


@pytest.mark.slow
@laws.float64
def test_an_interval_guides_only_within_it(few):
  """Its variance, the product of those of three parts of the flow."""
  low, high = (np.exp(-log_snr) for log_snr in guidance.INTERVAL[::-1])
  for row, w in zip(guidance.measure('limited_interval'), guidance.SCALES):
    want = .25 * ((.25 + low) / (.25 + high) * (1 + high) / (1 + low))**(w - 1)
    np.testing.assert_allclose(row.variance, want, rtol=1e-5)


@pytest.mark.slow
@laws.float64
def test_momentum_is_in_many_steps_a_smaller_scale(few, monkeypatch):
  """Of differences d = now - d / 2, that come to now / 1.5."""
  found = guidance.measure('momentum')
  monkeypatch.setattr(guidance, 'SCALES', tuple(1 + (_W - 1) / 1.5))
  for row, want in zip(found, guidance.measure('projected')):
    np.testing.assert_allclose(row[:2], want[:2], rtol=.02)


@laws.float64
def test_composed_samples_the_tilted_law_and_guidance_does_not(
    few, monkeypatch):
  monkeypatch.setattr(guidance, 'SCALES', (2.0,))
  found, = guidance.measure('composed')
  known = guidance.known('composed', 2.0)
  assert known.guided is None
  np.testing.assert_allclose(known.tilted, (8 / 7, 1 / 7), rtol=1e-9)
  noise = np.array(found[2:])
  assert np.all(noise < (.03, .02))
  assert np.all(np.abs(np.array(found[:2]) - known.tilted) < 4 * noise)
  free = guidance.known('classifier_free', 2.0).guided
  assert np.all(np.abs(np.array(found[:2]) - free) > 4 * noise)


@functools.cache
def _restored(data, name, num=150, steps=30):
  return restoration.measure(
      restoration.DATA[data], restoration.RESTORERS[name], num, steps)


@laws.float64
def test_dps_is_over_confident_and_sequential_monte_carlo_is_not():
  """Along what is measured, of isotropic data."""
  dps, smc = (guided.restored(_restored('isotropic', name))
              for name in ('DPS', 'twisted SMC 4'))
  assert dps['spread'][0][1] > 2 and dps['uniformity'][0] < 1e-9
  assert smc['spread'][0][1] < 1 < smc['spread'][0][2]
  assert min(smc['uniformity']) > 1e-3
  assert sum(smc['ranks'][0]) == sum(smc['ranks'][1]) == 150
  # At both ends.
  assert min(dps['ranks'][0][0], dps['ranks'][0][-1]) > 2 * 150 / guided.BINS
  assert (dps['evaluations'], smc['evaluations']) == (30, 120)
  assert abs(smc['evidence']) < .1 and dps['evidence'] is None


@pytest.mark.slow
@laws.float64
def test_pigdm_is_the_exact_denoiser_of_isotropic_data():
  """To a rounding, as its twist is exact there."""
  exact, pigdm = (_restored('isotropic', name)
                  for name in (restoration.EXACT, 'PiGDM'))
  np.testing.assert_allclose(pigdm.draws, exact.draws, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize('name, count', [
    ('replacement', 6), ('RePaint', 51), ('PiGDM', 6), ('twisted SMC 16', 96)])
@laws.float64
def test_evaluations_are_counted(name, count):
  """RePaint makes the last of 6 steps once."""
  assert _restored('correlated', name, 50, 6).evaluations == count


@laws.float64
def test_errors_are_those_that_are_planted():
  """Exact draws, moved by half a standard deviation, of 1.44 the covariance."""
  rng = np.random.default_rng(0)
  sets = restoration.truths(restoration.DATA['correlated'], 400)
  z = rng.standard_normal((400, 31, 2))
  z -= z.mean(axis=1, keepdims=True)
  root = np.linalg.cholesky(sets.cov)
  shift, std = np.array([.3, .4]) * 2**.5, np.sqrt(31 / 30)
  draws = sets.mean[:, None] + np.einsum(
      'nij,nsj->nsi', root, shift + 1.2 * std * z)
  nats = sets.log_evidence[:, None] + .25 + np.zeros((400, 31))
  got = restoration.errors(sets, draws, nats, gaussian=True)
  # Of 31 draws a mean has the 31st part of 1.44, which is taken off.
  np.testing.assert_allclose(got.mean, np.sqrt(.25 - 1.44 / 31), rtol=.02)
  np.testing.assert_allclose(got.trace, 1.44 * 31 / 30, rtol=.02)
  np.testing.assert_allclose([got.evidence, got.evidence_noise], [.25, 0],
                             atol=1e-9)
  cov = sets.cov[0]
  moved = np.sum(np.square(root[0] @ shift)) / np.trace(cov)
  np.testing.assert_allclose(
      got.w2, np.sqrt(moved - 1.44 / 31 + .2**2), rtol=.05)
  assert restoration.errors(sets, draws, None, gaussian=False)[2:] == (
      None, None, None)


@laws.float64
def test_truths_are_of_their_posteriors():
  """Whitened, they are standard normal; of a mixture, in two moments."""
  for name in restoration.DATA:
    sets = restoration.truths(restoration.DATA[name], 2000)
    z = np.linalg.solve(np.linalg.cholesky(sets.cov),
                        (sets.x - sets.mean)[..., None])[..., 0]
    np.testing.assert_allclose(z.mean(0), 0, atol=4 / 2000**.5)
    np.testing.assert_allclose(z.T @ z / 2000, np.eye(2), atol=.15)
