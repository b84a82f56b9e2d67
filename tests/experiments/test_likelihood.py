"""Likelihoods of runs: written, reproduced, in bits, and ranked."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from experiments import likelihood
from genjax.data import embedded
from genjax.data import rows
from genjax.data.pipeline import to_model_range
from genjax.reports import altered as alterations
from genjax.reports import likelihood as report
from genjax.reports.roads import Road
from genjax.reports.roads import Scores
from genjax.runs import density
from genjax.runs.density_fits import fit_density
from genjax.viz.figures import BLUE
from tests.figures import ink

pytestmark = pytest.mark.usefixtures('few_dots')

_FEW = ('--num_examples=3', '--num_steps=2', '--num_times=2', '--num_samples=2')


def read(workdir):
  folder = workdir / 'likelihood'
  return json.loads((folder / 'report.json').read_text()), folder


def test_images_are_scored_by_every_road_under_both_conventions(
    run, digits_run):
  """What is printed is what is written; the same command writes it again."""
  args = (f'--workdir={digits_run}', *_FEW, '--num_probes=1', '--num_draws=2')
  result = run(likelihood, *args)
  assert result.code == 0, result.err
  found, folder = read(digits_run)
  assert (found['num_examples'], found['levels'], found['given_class']) == (
      3, 17, True)
  assert list(found['roads']) == [
      'flow uniform', 'flow importance_weighted_2', 'bound uniform',
      'immse uniform', 'bound_of_levels']
  for name, row in found['roads'].items():
    nats, bits = row['nats']['value'], row['bits_per_dim']['value']
    assert bits == pytest.approx(-nats / (64 * math.log(2)))
    assert f'{nats:.2f}' in [line for line in result.out.splitlines()
                             if line.startswith(f'{name}  ')][0]
  assert found['roads']['bound uniform']['noise'] > 0
  assert set(found['sets']) == {'real', 'shifted', 'inverted', 'blurred',
                                'noise'}
  assert found['sets']['real']['nats'] == found['roads'][
      'flow uniform']['nats']
  assert ink(folder / 'likelihood.png', BLUE) > 2e-4
  assert (folder / 'examples.png').exists()
  before = (folder / 'report.json').read_bytes()
  assert run(likelihood, *args).code == 0
  assert (folder / 'report.json').read_bytes() == before


def test_points_are_scored_in_nats(run, toy_run):
  result = run(likelihood, f'--workdir={toy_run}', *_FEW)
  assert result.code == 0, result.err
  found, _ = read(toy_run)
  assert list(found['roads']) == ['flow', 'bound', 'immse']
  assert found['levels'] is None and not found['given_class']
  assert set(found['sets']) == {'real', 'shifted', 'inverted', 'noise'}


def test_a_fitted_density_is_scored_by_its_own(run, tmp_path):
  """A Gaussian of the training points, by scipy at all test points."""
  points = rows.open_points('moons', 0)
  fit_density(density.Settings(model='gaussian'), points.train, str(tmp_path))
  result = run(likelihood, f'--workdir={tmp_path}', '--num_examples=10000')
  assert result.code == 0, result.err
  (found,) = read(tmp_path)[0]['roads'].values()
  want = stats.multivariate_normal(points.train.mean(0), np.cov(
      points.train.T)).logpdf(points.test).mean()
  assert found['nats']['value'] == pytest.approx(want, rel=1e-3)
  assert found['noise'] == 0


def test_a_run_without_a_density_is_refused(run, classifier_run):
  run(likelihood, f'--workdir={classifier_run}').check_refusal(
      'likelihood', ['must hold a run that has a density', 'classifier'])


def test_conventions_have_their_closed_form():
  """Of a density exp(x) of one value: the mean of exp over a level's width w is
  2 sinh(w / 2) / w, times w, and the mean of x is x. Masses are left alone."""
  x = np.array([0., 1.], np.float32).reshape(2, 1, 1, 1)

  def nats(key, x, cond):
    assert cond is None
    x = x.reshape(len(x)).astype(float)
    return Scores(x, np.full(len(x), .5))

  found = report.score(Road('flow', nats), x, None, 3, seed=0, num_draws=400)
  error = 4 / math.sqrt(12 * 400)
  uniform, weighted = found['uniform'], found['importance_weighted_400']
  np.testing.assert_allclose(uniform.nats, [0, 1], atol=error)
  np.testing.assert_allclose(weighted.nats, np.log(2 * np.sinh(.5)) + np.array(
      [0, 1]), atol=error)
  assert np.all(weighted.nats > uniform.nats)
  np.testing.assert_allclose([uniform.noise, weighted.noise], .5)
  for road in (Road('bound', nats, smooth=False),
               Road('mass', nats, of_levels=True)):
    ((name, scores),) = report.score(
        road, x, None, 3, seed=0, num_draws=2).items()
    assert name == ('' if road.of_levels else 'uniform')
  np.testing.assert_array_equal(scores.nats, [0, 1])


def test_altered_images_stay_on_their_levels():
  x = to_model_range(embedded.digits('test').arrays['image'][:4])
  levels = np.linspace(-1, 1, 17)
  x = levels[np.abs(x[..., None] - levels).argmin(-1)].astype(np.float32)
  sets = alterations.altered(x, 17, np.random.default_rng(0))
  assert list(sets) == ['shifted', 'inverted', 'blurred', 'noise']
  for name, other in sets.items():
    assert other.shape == x.shape and np.abs(other - x).max() > .1, name
    assert np.abs(other[..., None] - levels).min(-1).max() < 1e-6
  np.testing.assert_allclose(sets['shifted'][:, :, 1:], x[:, :, :-1], atol=1e-6)
  np.testing.assert_allclose(sets['inverted'], -x, atol=1e-6)
  assert sets['blurred'].std() < x.std()
