"""The wheel alone opens what was trained before, its data long gone."""

import os
import pathlib
import subprocess
import sys
import zipfile

from setuptools import build_meta

from genjax.runs.open import KINDS
from genjax.runs.workdir import read
from tests.environment import environment
from tests.runs import keep

ROOT = pathlib.Path(__file__).parents[2]


def unpack(kept, folder):
  with zipfile.ZipFile(kept) as file:
    file.extractall(folder)
  return str(folder)


def build_wheel(folder, monkeypatch):
  """The library as it is installed, unpacked: no experiments, no tests."""
  monkeypatch.chdir(ROOT)
  # Where a build writes meanwhile, so that nothing is left in the checkout.
  config = {'--build-option': ['egg_info', f'--egg-base={folder}', 'build',
                               f'--build-base={folder}/build', 'bdist_wheel',
                               f'--bdist-dir={folder}/bdist']}
  name = build_meta.build_wheel(str(folder), config)
  return unpack(folder / name, folder / 'installed')


def test_runs_that_were_kept_open_from_the_wheel(tmp_path, monkeypatch):
  """In an empty folder, with nothing but the wheel and its dependencies."""
  installed = build_wheel(tmp_path, monkeypatch)
  assert not any('experiments' in name or 'tests' in name
                 for name in os.listdir(installed))
  runs = [unpack(kept, tmp_path / 'runs' / kept.stem)
          for kept in sorted(keep.KEPT.glob('*.zip'))]
  assert {read(workdir).kind for workdir in runs} == set(KINDS)
  here = tmp_path / 'empty'
  here.mkdir()
  (where, *wrong) = subprocess.run(
      [sys.executable, keep.__file__, '--check', *runs], cwd=here, text=True,
      check=True, capture_output=True,
      env=environment(PYTHONPATH=installed)).stdout.split('\n')
  assert where == os.path.join(installed, 'genjax')
  assert not ''.join(wrong)
