"""Gaussians: what is drawn agrees with what is found another way."""

import json
import math

import numpy as np
from PIL import Image
import pytest

from experiments import gaussians
from genjax.reports.gaussians import FIGURES

FLAGS = ('--means=0,3', '--scales=2,0.5', '--correlation=-0.6', '--observed=4')


def _run(run, folder, *args):
  workdir = folder / 'run'
  result = run(gaussians, f'--workdir={workdir}', '--num_draws=2000', *args)
  assert (result.code, result.err) == (0, '')
  checks = json.loads((workdir / 'report.json').read_text())['numbers']
  return workdir, {c['quantity']: c for c in checks}, result.out


@pytest.fixture(scope='module', name='written')
def write(run, tmp_path_factory):
  return _run(run, tmp_path_factory.mktemp('gaussians'), *FLAGS)


@pytest.fixture(scope='module', name='extreme')
def write_extreme(run, tmp_path_factory):
  """Far apart, of very different widths, and nearly a line."""
  return _run(run, tmp_path_factory.mktemp('extreme'), '--means=-900,900',
              '--scales=0.01,500', '--correlation=0.999', '--seed=1')


def _agree(checks):
  for check in checks.values():
    off = abs(check['found'] - check['value'])
    if check['by'] == 'draws':
      assert off < 4.5 * check['standard_error'], check
    else:
      # Rounding of the nodes, in a value of size x: a few thousand epsilons.
      assert off < 1e-11 * (1 + abs(check['value'])), check


def test_every_number_agrees_with_quadrature_or_draws(written, extreme):
  for _, checks, _ in (written, extreme):
    assert {check['by'] for check in checks.values()} == {
        'draws', 'quadrature'}
    _agree(checks)


def test_numbers_are_the_closed_forms(written):
  _, checks, _ = written
  precision = 1 / 4 + 1 / 0.25
  log_normal = lambda x, scale: (
      -0.5 * (x / scale)**2 - math.log(scale * math.sqrt(2 * math.pi)))
  spread = math.sqrt(4.25)
  want = {
      'x_1 + x_2: mean': 3,
      'x_1 + x_2: standard deviation': spread,
      'p_1 p_2: log Z': log_normal(3, spread),
      'p_1 p_2 / Z: mean': 3 / 0.25 / precision,
      'p_1 p_2 / Z: standard deviation': precision**-0.5,
      'mu + L eps: correlation': -0.6,
      # m_1 + rho s_1 / s_2 (v - m_2); s_1 sqrt(1 - rho^2).
      'x_1 given x_2 = 4: mean': -0.6 * 2 / 0.5,
      'x_1 given x_2 = 4: standard deviation': 2 * 0.8,
      'one observation: log evidence': log_normal(4, spread),
      'one observation: posterior: mean': 4 / 0.25 / precision,
      '64 observations: posterior: standard deviation':
          (1 / 4 + 64 / 0.25)**-0.5,
  }
  for name, value in want.items():
    np.testing.assert_allclose(checks[name]['value'], value, rtol=1e-12,
                               err_msg=name)


def test_script_writes_figures_numbers_and_flags(written):
  workdir, checks, out = written
  assert sorted(p.name for p in workdir.iterdir()) == [
      'figures', 'report.json', 'settings.json']
  assert sorted(p.stem for p in (workdir / 'figures').iterdir()) == sorted(
      FIGURES)
  for path in (workdir / 'figures').iterdir():
    picture = np.asarray(Image.open(path).convert('L'))
    assert min(picture.shape) > 400
    assert len(np.unique(picture)) > 20
    assert str(path) in out
  for name in checks:
    assert name in out
  assert json.loads((workdir / 'settings.json').read_text())['observed'] == 4


def test_script_again_writes_the_same(written, run, files_of):
  workdir, _, out = written
  before = files_of(workdir)
  assert _run(run, workdir.parent, *FLAGS)[2] == out
  assert files_of(workdir) == before


BAD = [
    ('--scales=1,0', ['--scales', '[0.001, 1000', '0']),
    ('--scales=1,-2', ['--scales', '-2']),
    ('--scales=1', ['--scales', '2 numbers', '(1.0,)']),
    ('--scales=1,wide', ['--scales', "'wide'"]),
    ('--scales=1,inf', ['--scales', 'inf']),
    ('--means=0,nan', ['--means', 'nan']),
    ('--means=0,1e9', ['--means', '1000000000']),
    ('--means=', ['--means', '2 numbers']),
    ('--correlation=1', ['--correlation', '0.999', '1.0']),
    ('--correlation=nan', ['--correlation', 'nan']),
    ('--observed=nan', ['--observed', 'nan']),
    ('--observed=1e9', ['--observed', '1000000000']),
    ('--num_draws=0', ['num_draws', '0']),
    ('--num_draws=100000000', ['num_draws', '100000000']),
    ('wide', ['stray', "'wide'"]),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0] for row in BAD])
def test_script_says_what_is_wrong_in_one_line(run, tmp_path, args, said):
  result = run(gaussians, f'--workdir={tmp_path}/run', *args.split())
  result.check_refusal('gaussians', said)
  assert not list(tmp_path.iterdir())
