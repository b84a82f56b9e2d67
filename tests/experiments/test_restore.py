"""Restoration by a script: written, reproduced, and every flag of it matters.
"""

import json

import jax
import pytest

from experiments import restore
from genjax.reports import restoration
from genjax.reports.table import make_table
from genjax.viz.figures import BLUE
from tests.figures import ink

pytestmark = pytest.mark.usefixtures('few_dots')

_FEW = ('--num_images=3', '--num_draws=2', '--steps=3', '--particles=2')


def test_a_run_restores_held_out_images(run, digits_run, classifier_run):
  """What is printed is what is written; the same command writes it again."""
  args = (f'--workdir={digits_run}', f'--classifier={classifier_run}', *_FEW,
          '--solvers=replacement,smc')
  result = run(restore, *args)
  assert result.code == 0, result.err
  folder = digits_run / 'restored'
  before = (folder / 'report.json').read_text()
  found = json.loads(before)
  assert list(found['solvers']) == ['training images', 'replacement', 'smc']
  for name, row in found['solvers'].items():
    line, = (line for line in result.out.splitlines()
             if line.startswith(f'{name}  '))
    assert f'{row["truth"]["value"]:.3g}' in line
    assert (row['log_evidence'] is None) == (name == 'replacement')
  for name in ('replacement', 'smc'):
    assert (folder / f'{name}.png').exists()
    assert sum(found['ranks'][name]) == 3 * 32
  assert ink(folder / 'ranks.png', BLUE) > 1e-2
  assert run(restore, *args).code == 0
  assert (folder / 'report.json').read_text() == before


@pytest.mark.parametrize('flag', [
    '--measure=random:0.4', '--noise_std=0.5', '--solvers=pigdm:4',
    '--num_images=4', '--num_draws=3', '--scale=0.5', '--seed=1', '--steps=5',
    '--weights=raw', '--particles=5', '--repeats=3'])
def test_each_flag_is_told_to_the_report(
    run, digits_run, classifier_run, monkeypatch, flag):
  """Of which tests/reports sees that it heeds what it is told."""
  told = []

  def report(run, train, test, operator, solvers, folder, **kwargs):
    leaf = jax.tree.leaves(run.params)[0]
    kwargs = {name: value for name, value in kwargs.items()
              if name in ('noise_std', 'effort', 'seed')}
    told.append(repr((float(leaf.sum()), test.x.shape, operator.measured,
                      solvers, folder, kwargs)))
    return make_table(['solver'], [])

  monkeypatch.setattr(restoration, 'report', report)
  for flags in ((), (flag,)):
    assert run(restore, f'--workdir={digits_run}', *_FEW, *flags,
               f'--classifier={classifier_run}').code == 0
  assert told[0] != told[1]


def test_a_solver_may_have_steps_of_its_own():
  assert restore.parse_solvers(['pigdm', 'dps:1000', 'smc'], 7) == {
      'pigdm': 7, 'dps': 1000, 'smc': 7}
