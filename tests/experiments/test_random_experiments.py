"""The script that repeats random experiments, whole."""

import json
import math

import numpy as np
from PIL import Image
import pytest

from experiments import random_experiments
from genjax.reports.guess import CANDIDATES

FLAGS = ('--num_draws=64',)


@pytest.fixture(scope='module', name='written')
def write(run, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('random') / 'run'
  result = run(random_experiments, f'--workdir={workdir}',
               '--probabilities=0.2,0.3,0.5', '--observations=HTTHH', *FLAGS)
  assert (result.code, result.err) == (0, '')
  return workdir, result.out


def test_script_writes_figures_numbers_and_flags(written):
  workdir, out = written
  names = ['central_limit.png', 'guess.png', 'law_of_large_numbers.png']
  assert sorted(p.name for p in workdir.iterdir()) == [
      'figures', 'report.json', 'settings.json']
  assert sorted(p.name for p in (workdir / 'figures').iterdir()) == names
  for name in names:
    picture = np.asarray(Image.open(workdir / 'figures' / name).convert('L'))
    assert min(picture.shape) > 400
    assert len(np.unique(picture)) > 20
    assert name in out
  report = json.loads((workdir / 'report.json').read_text())
  assert abs(report['mean'] - 2.3) < 1e-12  # 0.2 + 2 0.3 + 3 0.5
  assert [row['draws'] for row in report['sums']] == [
      1, 2, 4, 8, 16, 32, 64]
  assert [row['candidate'] for row in report['guess']] == list(CANDIDATES)
  coin = report['coins'][0]
  assert (coin['candidate'], coin['probability']) == (
      'biased coin', 'P(heads)')
  # Beta(4, 3): mean 4/7, variance 12 / (49 8).
  assert abs(coin['mean'] - 4 / 7) < 1e-6
  assert abs(coin['standard_deviation'] - math.sqrt(12 / (49 * 8))) < 1e-6
  assert 'biased coin' in out and 'two coins in turn' in out


BAD = [
    ('--observations=HTX', ['--observations', 'H and T', "'X'"]),
    ('--observations=', ['--observations', '1 to 1000 characters']),
    (f'--observations={"H" * 1001}', ['--observations', 'of 1 to 1000']),
    ('--probabilities=0.5,0.4', ['--probabilities', 'sum to 1', '0.9']),
    ('--probabilities=1.5,-0.5', ['--probabilities', '[0.0, 1.0]', '1.5']),
    ('--probabilities=0.5,nan', ['--probabilities', 'numbers', 'nan']),
    ('--probabilities=half,half', ['--probabilities', "'half'"]),
    ('--probabilities=', ['--probabilities', 'numbers']),
    ('--probabilities=1', ['--probabilities', 'two or more', '1']),
    ('--probabilities=' + ','.join(['0.04'] * 25), ['--probabilities', '20']),
    ('--probabilities=0.5,0.5 --experiment=die', ['--experiment', 'die']),
    ('--experiment=cards', ['experiment', 'cards', 'coin']),
    ('--num_draws=1000000', ['num_draws', '1000000']),
    ('--num_draws=1', ['num_draws', '1']),
    ('HTTHH', ['stray', "'HTTHH'"]),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0][:40] for row in BAD])
def test_script_says_what_is_wrong_in_one_line(run, tmp_path, args, said):
  result = run(random_experiments, f'--workdir={tmp_path}/run', *args.split())
  result.check_refusal('random_experiments', said)
  assert not list(tmp_path.iterdir())


def test_script_again_writes_the_same(run, written, files_of):
  workdir, out = written
  before = files_of(workdir)
  again = run(random_experiments, f'--workdir={workdir}',
              '--probabilities=0.2,0.3,0.5', '--observations=HTTHH', *FLAGS)
  assert again == (0, out, '')
  assert files_of(workdir) == before


def test_script_leaves_a_run_of_other_flags_alone(run, written, files_of):
  workdir, _ = written
  before = files_of(workdir)
  result = run(random_experiments, f'--workdir={workdir}', '--seed=1', *FLAGS)
  assert result.code == 1 and result.err.count('\n') == 1
  assert files_of(workdir) == before
