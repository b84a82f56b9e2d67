"""Own images, what a script says last: each file that it wrote, and no other.

Every script that a test of this folder runs to its end is held to that, see
`last_lines`; here is that the law can fail, and that no script escapes it.
"""

import pathlib
import re

import jax
import jax.numpy as jnp
import pytest

from experiments import benchmark
from genjax.reports import benchmark as report
from genjax.reports.benchmark_suites import SUITES
from tests.experiments import last_lines

HERE = pathlib.Path(__file__).parent
SCRIPTS = sorted(
    path.stem for path in (HERE.parents[1] / 'experiments').glob('*.py')
    if '  app.run(main' in path.read_text('utf-8'))


@pytest.mark.parametrize('script', SCRIPTS)
def test_every_script_is_run_by_some_test(script):
  call = re.compile(rf'\brun\(\s*{script}\b')
  assert [path for path in HERE.glob('test_*.py') if call.search(
      path.read_text('utf-8'))]


@pytest.mark.parametrize('says, complaint', [
    ('{0} holds a.json, b', ''),
    ('wrote {0}/a.json, {0}/b/c.png', ''),
    ('12 samples in {0}/b, flags in {0}/a.json.', ''),
    ('{0} holds a.json', 'wrote {0}/b/c.png, which is not named'),
    ('wrote a.json and b to {0}', 'wrote {0}/a.json, which is not named; '
     'wrote {0}/b/c.png, which is not named'),
    ('{0} holds a.json, b, c', 'names {0}/c, which is not there'),
    ('wrote {0}/a.json, {0}/b, {0}/b/d.png',
     'names {0}/b/d.png, which is not there'),
    ('wrote {0}/b/c.png and {0}/old.json',
     'wrote {0}/a.json, which is not named'),
    ('{0} holds a.json, b' + 12 * '\n-', 'wrote {0}/a.json, which is not '
     'named; wrote {0}/b/c.png, which is not named')])
def test_what_is_not_named_or_not_there_is_seen(tmp_path, says, complaint):
  args = (f'--workdir={tmp_path}',)
  (tmp_path / 'old.json').write_text('before')
  before = last_lines.stamps(args)
  (tmp_path / 'b').mkdir()
  for name in ('a.json', 'b/c.png'):
    (tmp_path / name).write_text('new')
  assert last_lines.complaint(args, f'10 steps\n{says.format(tmp_path)}\n',
                              before) == complaint.format(tmp_path)


def test_a_file_that_is_written_again_is_new(tmp_path):
  args = (f'--out={tmp_path}/x.npz',)
  for name in ('x.npz', 'x.json'):
    (tmp_path / name).write_text('first')
  before = last_lines.stamps(args)
  assert not last_lines.complaint(args, '', before)
  (tmp_path / 'x.json').write_text('second')
  assert last_lines.complaint(args, f'wrote {tmp_path}/x.npz', before) == (
      f'wrote {tmp_path}/x.json, which is not named')


def test_a_benchmark_is_written(run, tmp_path, monkeypatch):
  """Of one sum, by two libraries that are one."""
  case = report.Case(dict.fromkeys(('genjax', 'other'), jnp.sum), [
      jnp.ones(8)], rtol=1e-6)
  monkeypatch.setitem(SUITES, 'cdf', SUITES['cdf']._replace(
      prepare=lambda settings: lambda say: report.cases_table(
          {'sum': case}, settings, 1, say)))
  try:
    result = run(benchmark, 'cdf', f'--workdir={tmp_path}/run', '--rounds=3')
  finally:
    jax.config.update('jax_enable_compilation_cache', True)
  assert (result.code, result.err) == (0, '')
