"""The runner of `make mutants` itself: it must be able to say both things."""

import pathlib

import pytest

from tests import mutants
from tests.faults import Fault
from tests.faults import FAULTS

FAULT = Fault('off by one', 'genjax/add.py', 'a + b', 'a + b + 1',
              ('tests/test_add.py',))


@pytest.fixture(name='tree')
def make_tree(tmp_path: pathlib.Path) -> pathlib.Path:
  """A project of one function and one test that sees it."""
  root = tmp_path / 'project'
  for path, text in {
      'setup.cfg': '[tool:pytest]\naddopts = -m "not slow"\n'
                   'markers =\n    slow: slow\n',
      'genjax/__init__.py': '',
      'genjax/add.py': 'def add(a, b):\n  return a + b\n',
      'tests/test_add.py': 'from genjax.add import add\n\n'
                           'def test_add():\n  assert add(1, 1) == 2\n',
      'tests/test_blind.py': 'def test_nothing():\n  pass\n',
      'tests/test_slow.py': 'import pytest\n\n@pytest.mark.slow\n'
                            'def test_add():\n  assert False\n',
      'runs/large.bin': 'x',
      'genjax/runs/fit.py': '',
  }.items():
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
  return root


@pytest.mark.parametrize('tests, old, verdict', [
    ('tests/test_add.py', 'a + b', 'caught'),
    ('tests/test_blind.py', 'a + b', 'SURVIVED'),
    ('tests/test_slow.py', 'a + b', 'NO TESTS'),
    ('tests/test_absent.py', 'a + b', 'BROKEN'),
    ('tests/test_add.py', 'return a + b', 'BROKEN'),
])
def test_judge_says_what_the_tests_say(tree, tests, old, verdict):
  fault = FAULT._replace(tests=(tests,), old=old,
                         new='a +' if old != FAULT.old else FAULT.new)
  before = (tree / FAULT.path).read_text()
  found, output, _ = mutants.judge(tree, fault)
  assert found == verdict, output
  assert (tree / FAULT.path).read_text() == before


@pytest.mark.parametrize('source', ['a - b', 'a + b\na + b'])
def test_plant_refuses_text_that_is_not_there_once(source):
  with pytest.raises(ValueError, match='exactly once'):
    mutants.plant(source, FAULT)


def test_copy_tree_leaves_runs_behind(tree, tmp_path):
  mutants.copy_tree(tree, tmp_path / 'copy')
  assert (tmp_path / 'copy' / FAULT.path).exists()
  assert not (tmp_path / 'copy' / 'runs').exists()
  assert (tmp_path / 'copy' / 'genjax' / 'runs' / 'fit.py').exists()


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.name)
def test_faults_fit_the_tree(fault):
  source = (mutants.ROOT / fault.path).read_text('utf-8')
  assert mutants.plant(source, fault) != source
  for test in fault.tests:
    assert (mutants.ROOT / test.partition('::')[0]).exists()


def test_faults_have_names_of_their_own():
  names = [fault.name for fault in FAULTS]
  assert len(set(names)) == len(names)
