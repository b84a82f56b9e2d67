"""Bad input of fit_distribution: one line, and nothing left behind."""

import numpy as np
import pytest

from experiments import fit_distribution


@pytest.mark.parametrize('name, content, said', [
    ('empty.csv', '', ['empty.csv']),
    ('nan.csv', '1,2\n' * 30 + 'nan,3\n', ['nan.csv', 'finite']),
    ('text.csv', 'a,b\n' + 'one,two\n' * 30, ['text.csv', 'numbers']),
    ('one.csv', '1,2\n', ['one.csv', '20']),
    ('same.csv', '1,2\n' * 30, ['same.csv', 'vary']),
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
  assert (tmp_path / 'run' / 'metrics.json').is_file()
