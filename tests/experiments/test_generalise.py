"""The study of models of disjoint halves by its script, whole."""

import json
import os
import shutil

import numpy as np
import pytest

from experiments import generalise
from genjax.metrics.generalisation import Generalisation
from genjax.runs import diffusion
from genjax.runs import open_run
from genjax.runs import workdir as workdirs

pytestmark = pytest.mark.usefixtures('few_dots')


@pytest.fixture(scope='module', autouse=True)
def small(few_sampling_steps):
  """A network that is soon compiled."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(diffusion.RECIPES, 'digits', {
        **diffusion.RECIPES['digits'], 'network': 'dit', 'width': (8,),
        'batch_size': 8, 'guidance': 1.0})
    yield


def found_in(workdir):
  return json.loads((workdir / 'report.json').read_text())['similarity']


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_and_is_kept(
    run, tmp_path, stop_at, files_of):
  workdir = tmp_path / 'run'
  words = (f'--workdir={workdir}', '--steps=3', '--conditional',
           '--num_samples=4')
  with stop_at(2):
    result = run(generalise, *words, '--sizes=6')
  assert result.code == 0 and 'the same command goes on' in result.out
  assert not (workdir / 'report.json').exists()
  result = run(generalise, *words, '--sizes=6')
  assert result.code == 0, result.err
  check_finished(workdir, result)

  # What is done is done; other sizes join it.
  row, before = found_in(workdir)['6'], files_of(workdir / 'n_6')
  for side in 'ab':
    (workdir / 'n_4' / side).mkdir(parents=True)
    for name in ('samples.npz', 'copies.npz'):
      shutil.copy(workdir / 'n_6' / side / name, workdir / 'n_4' / side)
  result = run(generalise, *words, '--sizes=6,4')
  assert result.code == 0, result.err
  found = found_in(workdir)
  assert list(found) == ['4', '6'] and found['6'] == row
  assert found['4']['same_noise'] == row['same_noise']
  assert files_of(workdir / 'n_6') == before
  result = run(generalise, *words[:-1], '--num_samples=6')
  result.check_refusal('generalise', ['--workdir', 'num_samples=4', '6'])


def check_finished(workdir, result):
  """Whether there are two runs of other images, samples, and a report."""
  row = found_in(workdir)['6']
  assert list(row) == ['size', *Generalisation._fields]
  # Three steps teach nothing: both models give the noise, blurred.
  assert row['same_noise']['value'] > row['other_noise']['value']
  assert 'at no size' in result.out and 'report.json' in result.out
  assert (workdir / 'figures' / 'generalise.png').stat().st_size > 10_000
  folders = [str(workdir / 'n_6' / side) for side in 'ab']
  assert workdirs.read(folders[0]).data_id != workdirs.read(folders[1]).data_id
  first, second = map(open_run, folders)
  assert first.step == second.step == 3
  assert first.settings.seed != second.settings.seed
  # The same noise at the same level, and none of the sampler's.
  assert first.settings.data_std == second.settings.data_std
  assert first.settings.sampler == 'dpm_solver_2m'
  labels = []
  for folder in folders:
    with np.load(os.path.join(folder, 'samples.npz')) as arrays:
      assert arrays['arr_0'].shape == (4, 8, 8, 1)
      labels.append(arrays['arr_1'].tolist())
  assert labels[0] == labels[1] and labels[0][::2] == labels[0][1::2]


@pytest.mark.parametrize('words, said', [
    ('--sizes=1', ['--sizes', 'whole numbers', '1']),
    ('--sizes=20,800', ['--sizes', 'at most 747', 'halves', '800']),
    ('--sizes=20,20', ['--sizes', 'different', '20, 20']),
    ('--sizes=many', ['--sizes', 'whole numbers', 'many']),
    ('--num_samples=5', ['--num_samples', 'even', '5']),
    ('--num_samples=2', ['--num_samples', '2']),
    ('--data=toy:moons', ['--data', 'images', 'toy:moons']),
    ('--steps=0', ['--steps', '0']),
    ('--seed=2147483647', ['--seed', '1073741823']),
])
def test_a_wrong_flag_is_one_line(run, tmp_path, words, said):
  result = run(generalise, f'--workdir={tmp_path}/run', words)
  result.check_refusal('generalise', said)
  assert not (tmp_path / 'run').exists()
