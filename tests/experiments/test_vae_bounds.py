"""Bounds of log p(x) of a run: written, drawn, in order, and reproduced."""

import json

import numpy as np
import pytest

from experiments import train_vae
from experiments import vae_bounds
from genjax.viz.figures import BLUE
from genjax.viz.figures import GREEN
from genjax.viz.figures import ORANGE
from tests.figures import ink

pytestmark = pytest.mark.usefixtures('few_dots')


@pytest.fixture(name='workdir', scope='module')
def _workdir(run, tmp_path_factory):
  """A run of train_vae that has hardly begun."""
  workdir = tmp_path_factory.mktemp('vae') / 'run'
  result = run(train_vae, f'--workdir={workdir}', '--steps=2', '--width=8',
               '--latents=2', '--batch_size=8', '--log_every=1',
               '--save_every=2')
  assert result.code == 0, result.err
  return workdir


@pytest.mark.slow  # tests/vae holds the bounds, all others refuse or read
def test_vae_bounds_writes_what_it_prints(run, workdir):
  args = (f'--workdir={workdir}', '--num_images=6', '--temperatures=9',
          '--num_chains=2')
  result = run(vae_bounds, *args)
  assert result.code == 0, result.err
  found = json.loads((workdir / 'bounds' / 'report.json').read_text())
  assert found['step'] == 2 and found['num_images'] == 6
  assert found['of'] == 'mass of pixels'
  assert list(found['acceptance']) == [
      'test AIS-9', 'drawn AIS-9', 'drawn reverse AIS-9']
  rows = found['bounds']
  for column in ('test', 'drawn'):
    cells = {name: row[column] for name, row in rows.items() if row[column]}
    value = {name: cell['value'] for name, cell in cells.items()}
    assert (value['ELBO'] < value['IWAE-5'] < value['IWAE-50']
            < value['IWAE-1000'] < 0)
    np.testing.assert_allclose(
        value['AIS-9 less IWAE-1000'], value['AIS-9'] - value['IWAE-1000'],
        atol=1e-4)
    for name, cell in cells.items():
      assert '{value:.3f} ({low:.3f}, {high:.3f})'.format(**cell) in [
          line for line in result.out.splitlines()
          if line.startswith(f'{name}  ')][0]
  assert {name for name, row in rows.items() if row['test'] is None} == {
      'reverse AIS-9', 'reverse AIS-9 less AIS-9'}
  gap = rows['reverse AIS-9 less AIS-9']['drawn']
  # Four standard errors, of which Student's 95 % of 6 images are 2.6.
  assert gap['value'] > -4 / 2.57 * (gap['high'] - gap['value'])
  for color in (BLUE, ORANGE, GREEN):
    assert ink(workdir / 'bounds' / 'bounds.png', color) > 2e-4
  before = (workdir / 'bounds' / 'report.json').read_bytes()
  assert run(vae_bounds, *args).code == 0
  assert (workdir / 'bounds' / 'report.json').read_bytes() == before


@pytest.mark.parametrize('args, said', [
    (['--temperatures=10,many'], ['--temperatures', 'many']),
    (['--temperatures=0'], ['--temperatures', '0']),
    (['--temperatures=2.5'], ['--temperatures', 'whole', '2.5']),
    (['--temperatures=²'], ['--temperatures', '²']),
    (['--temperatures=99999999999'], ['--temperatures', '1000000']),
    (['--num_images=298'], ['--num_images', '297', '298']),
    (['--num_chains=1'], ['num_chains', '1']),
])
def test_vae_bounds_says_what_is_wrong_in_one_line(run, workdir, args, said):
  result = run(vae_bounds, f'--workdir={workdir}', *args)
  assert result.code == 1 and result.out == ''
  assert result.err.count('\n') == 1, result.err
  assert all(part in result.err for part in ['vae_bounds: ', *said])


def test_vae_bounds_wants_the_run_of_a_vae(run, digits_run, tmp_path):
  for workdir in (digits_run, tmp_path):
    result = run(vae_bounds, f'--workdir={workdir}')
    assert result.code == 1 and result.err.count('\n') == 1
    assert '--workdir' in result.err
