"""Distributions fitted to data: the scores, the truth, and bad input."""

import json

import numpy as np
import pytest

from experiments import fit_distribution
from genjax import densities
from genjax import files
from genjax.data import rows
from genjax.reports import density as report
from tests.figures import BARE
from tests.figures import ink


@pytest.mark.parametrize('name, content, said', [
    ('empty.csv', '', ['empty.csv']),
    ('nan.csv', '1,2\n' * 30 + 'nan,3\n', ['nan.csv', 'finite']),
    ('text.csv', 'a,b\n' + 'one,two\n' * 30, ['text.csv', 'numbers']),
    ('one.csv', '1,2\n', ['one.csv', '20']),
    ('same.csv', '1,2\n' * 30, ['same.csv', 'vary']),
    ('ragged.csv', '1,2\n' * 30 + '1\n', ['ragged.csv', 'one length']),
    ('wide.csv', (17 * '1,')[:-1] + '\n' + 20 * ((17 * '2,')[:-1] + '\n'),
     ['wide.csv', '16', '17']),
    ('names.csv', 'a,b,c\n' + '1,2\n3,4\n' * 20,
     ['names.csv', '2 columns', '3']),
    ('no.npy', 'not an array', ['no.npy', 'numbers']),
    (None, None, ['missing.npy']),
])
def test_unusable_files_are_named_in_one_line(run, files_of, tmp_path, name,
                                              content, said):
  path = tmp_path / (name or 'missing.npy')
  if name:
    path.write_text(content)
  before = files_of(tmp_path)
  result = run(fit_distribution, f'--workdir={tmp_path}/run', f'--data={path}')
  assert result.code == 1 and result.err.count('\n') == 1, result.err
  for part in said:
    assert part in result.err
  assert files_of(tmp_path) == before


@pytest.mark.parametrize('flag, said', [
    ('--model=gan', 'gan'), ('--data=cats', 'cats'), ('--steps=0', 'steps')])
def test_unknown_names_are_refused(run, tmp_path, flag, said):
  result = run(fit_distribution, f'--workdir={tmp_path}/run', flag)
  assert result.code == 1 and result.err.count('\n') == 1
  assert said in result.err and not (tmp_path / 'run').exists()


def scores_of(folder):
  """The rows of the report of the run in `folder`."""
  return json.loads((folder / 'run' / 'report.json').read_text())['models']


def test_closed_form_models_are_scored_beside_each_other(run, tmp_path):
  """A Gaussian of Gaussian data: its held-out nats are its entropy."""
  x = np.random.default_rng(0).normal(size=(4000, 2)) * [1.0, 2.0]
  np.save(tmp_path / 'x.npy', x)
  result = run(fit_distribution, f'--workdir={tmp_path}/run',
               f'--data={tmp_path}/x.npy', '--model=gaussian')
  assert result.code == 0 and result.err == ''
  row = next(line.split() for line in result.out.splitlines()
             if line.startswith('gaussian'))
  want = np.log(2 * np.pi * np.e) + np.log(2.0)
  # 800 held-out points, whose nats have a standard deviation of 1.
  assert abs(float(row[1]) - want) < 4 / 800**0.5
  scores, = scores_of(tmp_path)
  assert abs(scores['nats'] - float(row[1])) < 1e-4
  np.testing.assert_allclose(scores['bits_per_dim'],
                             scores['nats'] / (2 * np.log(2)))


@pytest.fixture
def small(monkeypatch):
  """Fewer candidates and particles: each is compiled, or takes its time."""
  for module, name, value in (
      (densities, '_COMPONENTS', (2,)), (densities, '_BINS', (2, 4)),
      (densities, '_PARTICLES', 10), (densities, '_TEMPERATURES', 3),
      (densities, '_CHAIN', 2), (fit_distribution, '_CHECKPOINTS', 2)):
    monkeypatch.setattr(module, name, value)


def test_all_models_are_scored_and_drawn_and_go_on(
    run, files_of, tmp_path, small):
  """In three dimensions, far from the origin, with rows in order."""
  x = 1e5 + np.sort(np.random.default_rng(0).normal(size=(60, 3)), 0)
  path = tmp_path / 'x.csv'
  np.savetxt(path, x, delimiter=',', header='a,b,c', comments='')
  flags = f'--workdir={tmp_path}/run', f'--data={path}', '--steps=4'
  result = run(fit_distribution, *flags)
  assert result.code == 0 and result.err == ''
  scores = scores_of(tmp_path)
  assert [row['model'] for row in scores] == list(densities.MODELS)
  for row in scores:
    # Of a Gaussian 4.3 nats; a histogram may leave points out of its box.
    assert row['nats'] is None or -5 < row['nats'] < 15, row
  assert ink(tmp_path / 'run' / 'figures' / 'samples.png') > BARE
  logs = (tmp_path / 'run' / 'flow' / 'metrics.jsonl').read_text()
  assert [json.loads(line)['step'] for line in logs.splitlines()] == [2, 4]

  before = files_of(tmp_path / 'run' / 'flow' / 'checkpoints')
  again = run(fit_distribution, *flags, '--model=flow')
  assert again.code == 0
  assert files_of(tmp_path / 'run' / 'flow' / 'checkpoints') == before
  flow, = scores_of(tmp_path)
  assert flow == scores[-1]


def test_one_column_is_drawn_as_curves(run, tmp_path, small):
  """By a flow, whose couplings then have nothing to depend on."""
  np.save(tmp_path / 'x.npy', np.random.default_rng(0).normal(size=100))
  result = run(fit_distribution, f'--workdir={tmp_path}/run', '--steps=2',
               f'--data={tmp_path}/x.npy', '--model=flow')
  assert result.code == 0 and result.err == ''
  row, = scores_of(tmp_path)
  assert 1 < row['nats'] < 2  # 1.42 of a Gaussian
  assert ink(tmp_path / 'run' / 'figures' / 'densities.png') > BARE


def test_points_outside_of_a_density_are_null_in_json(tmp_path):
  table = report.compare(report.true_density('xor'), {},
                         np.array([[0., 0.], [1., 1.]]))
  assert report.records(table)['truth']['nats'] == np.inf
  files.write_json(str(tmp_path / 'x.json'), report.records(table))
  assert json.loads((tmp_path / 'x.json').read_text())['truth']['nats'] is None


def test_rows_in_order_are_split_at_random(tmp_path):
  np.save(tmp_path / 'x.npy', np.arange(1000.0))
  data = rows.open_points(f'{tmp_path}/x.npy', 0)
  assert len(data.test) == 200 and len(data.train) == 800
  both = np.concatenate([data.test, data.train])[:, 0]
  np.testing.assert_array_equal(np.sort(both), np.arange(1000))
  for part in (data.test, data.train, data.train[-160:]):
    # Of a uniform on [0, 1000], whose standard deviation is 289.
    assert abs(part.mean() - 499.5) < 4 * 289 / len(part)**0.5
