"""Are the tests able to fail? Plants known faults, one at a time.

    make mutants
    python -m tests.mutants 'last step dropped' ...

Every fault is planted in a temporary copy of the tree, never here, and the
tests named beside it must fail there. They are a subset of what `make test`
runs (the same markers apply), so that what fails them fails `make test`.
Faults live in tests/faults/. Exit status 0: every fault was caught.
"""

import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from tests.faults import Fault
from tests.faults import FAULTS

ROOT = pathlib.Path(__file__).resolve().parents[1]
WORKERS = 2
LIMIT = 300  # seconds for the tests of one fault
WHOLE = 3600  # seconds for those of all of them, without a fault

# pytest's exit statuses: what they say of a fault.
VERDICTS = {0: 'SURVIVED', 1: 'caught', 5: 'NO TESTS'}
IGNORED = shutil.ignore_patterns('.*', '__pycache__', '*.egg-info')
IGNORED_AT_TOP = {'runs', 'build', 'dist'}


def plant(source: str, fault: Fault) -> str:
  """`source` with the fault in it.

  Raises:
    ValueError: unless the text to be replaced is there exactly once.
  """
  count = source.count(fault.old)
  if count != 1:
    raise ValueError(f'`{fault.name}`: its text must be in {fault.path} '
                     f'exactly once, got {count}')
  return source.replace(fault.old, fault.new)


def copy_tree(root: pathlib.Path, to: pathlib.Path) -> None:
  """Copies what the tests need: no hidden files, no runs, no builds."""
  def ignore(folder: str, names: list[str]) -> set[str]:
    at_top = IGNORED_AT_TOP if pathlib.Path(folder) == root else set()
    return IGNORED(folder, names) | at_top & set(names)

  shutil.copytree(root, to, ignore=ignore)


def run_tests(
    root: pathlib.Path, tests: tuple[str, ...], limit: int = LIMIT
) -> tuple[str, str]:
  """(verdict, output) of the tests run in the copy at `root`."""
  # First on the path, before the checkout that is installed in the venv.
  env = os.environ | {'PYTHONPATH': str(root), 'PYTHONDONTWRITEBYTECODE': '1'}
  command = [sys.executable, '-m', 'pytest', '-q', '-x', '--no-header',
             '-p', 'no:cacheprovider', *tests]
  try:
    result = subprocess.run(command, cwd=root, env=env, timeout=limit,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, check=False)
  except subprocess.TimeoutExpired:
    return 'TOO LONG', ''
  return VERDICTS.get(result.returncode, 'BROKEN'), result.stdout


def judge(root: pathlib.Path, fault: Fault) -> tuple[str, str, float]:
  """(verdict, output, seconds) of one fault planted in a copy of `root`."""
  start = time.monotonic()
  with tempfile.TemporaryDirectory() as scratch:
    copy = pathlib.Path(scratch) / 'tree'
    copy_tree(root, copy)
    path = copy / fault.path
    path.write_text(plant(path.read_text('utf-8'), fault), 'utf-8')
    verdict, output = run_tests(copy, fault.tests)
  return verdict, output, time.monotonic() - start


def check_healthy(faults: list[Fault]) -> str:
  """What is wrong with a copy without faults; empty if its tests pass."""
  tests = tuple(sorted({test for fault in faults for test in fault.tests}))
  with tempfile.TemporaryDirectory() as scratch:
    copy = pathlib.Path(scratch) / 'tree'
    copy_tree(ROOT, copy)
    for fault in faults:
      plant((copy / fault.path).read_text('utf-8'), fault)
    workers = ('-n', str(WORKERS), '--dist', 'loadfile')
    verdict, output = run_tests(copy, (*workers, *tests), WHOLE)
  return '' if verdict == 'SURVIVED' else output or verdict


def main(names: list[str]) -> int:
  faults = [fault for fault in FAULTS if not names or fault.name in names]
  unknown = set(names) - {fault.name for fault in faults}
  if unknown:
    print(f'no such fault: {", ".join(sorted(unknown))}')
    return 2
  try:
    complaint = check_healthy(faults)
  except ValueError as e:
    complaint = str(e)
  if complaint:
    print(complaint)
    print('the tree without faults must pass first')
    return 2

  missed = []
  with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
    verdicts = pool.map(lambda fault: judge(ROOT, fault), faults)
    for fault, (verdict, output, seconds) in zip(faults, verdicts):
      print(f'{verdict:9} {seconds:4.0f} s  {fault.name:34} {fault.path}',
            flush=True)
      if verdict != 'caught':
        missed.append(fault)
        if verdict != 'SURVIVED':
          print(output)
  print(f'{len(faults) - len(missed)} of {len(faults)} faults caught')
  return 1 if missed else 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
