"""Keeps a small run in tests/runs/kept/, which every later genjax must open.

    python -m tests.runs.keep WORKDIR NAME

Of the run its settings and weights are kept, and outputs.npz: two examples, and
what the run makes of them today. Those that are there were trained for two
steps by the scripts, on 8 pieces of photographs, 8 x 8, in two folders that are
gone, or on 40 points. A kept run is never made anew: where a setting changes
its meaning, `workdir.UPGRADES` has to read what is kept.
"""

import os
import pathlib
import sys
from typing import Any, Collection
import zipfile

import jax
import numpy as np

import genjax
from genjax.runs import open_run
from genjax.runs.task import Run

KEPT = pathlib.Path(__file__).parent / 'kept'
OUTPUTS = 'outputs.npz'

# What opening a run needs nothing of.
_LEFT_OUT = ('training', 'tensorboard', 'figures', 'metrics.jsonl', 'data.json',
             'lock')

# Of the largest output: a hundred roundings of float32, one after the other and
# all to one side, through a network and four steps of a sampler. Of the two
# compilers that the tests and their makers used, the outputs differ by 8e-7.
_ROUNDING = 100 * 2.0**-23


def examples(run: Run) -> np.ndarray:
  """Two examples of the shape that the run is of, in its unit."""
  x = np.random.default_rng(1).uniform(-1, 1, (2, *run.settings.shape))
  if run.task.kind == 'density':
    return np.asarray(run.settings.loc) + x * np.asarray(run.settings.scale)
  return x.astype(np.float32)


def outputs(
    run: Run, x: np.ndarray, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
  """What a run makes of examples x [2, *event], by every function it has.

  Or by those of `names`: what a kind could not do when a run of it was kept,
  nothing was written of.
  """
  told = getattr(run.settings, 'conditional', False)
  cond = {'label': np.array([0, 1], np.int32)} if told else None
  found: dict[str, Any] = {}
  if run.sample is not None:
    found['sample'] = run.sample(jax.random.key(2), (2,), cond)
  if run.log_prob is not None and (names is None or 'log_prob' in names):
    found['log_prob'] = run.log_prob(x, cond)
  if run.encode is not None and run.decode is not None:
    found['encode'] = run.encode(x, cond)
    found['decode'] = run.decode(found['encode'], cond)
  if run.denoiser is not None:
    found['denoiser'] = jax.jit(run.denoiser(cond))(x, 0.5)
  if run.predict is not None:
    found['predict'] = run.predict(x)
  return {name: np.asarray(value) for name, value in found.items()}


def _standard(run: Run, name: str, x: np.ndarray) -> np.ndarray:
  """Draws of a density, which may lie far from the origin, in its own unit."""
  if run.task.kind != 'density' or name != 'sample':
    return x
  return (x - np.asarray(run.settings.loc)) / np.asarray(run.settings.scale)


def check(workdir: str) -> list[str]:
  """What of a kept run is no longer what it was; nothing where all is well."""
  run = open_run(workdir)
  with np.load(os.path.join(workdir, OUTPUTS)) as file:
    before = dict(file)
  x = before.pop('x')
  now = outputs(run, x, before)
  wrong = [f'{workdir}: {name}' for name in sorted(before.keys() ^ now.keys())]
  for name in before.keys() & now.keys():
    was, is_ = (_standard(run, name, x[name].astype(float))
                for x in (before, now))
    if was.shape != is_.shape or not (
        np.abs(is_ - was).max() <= _ROUNDING * np.abs(was).max()):
      wrong.append(f'{workdir}: {name} was {was.ravel()[:3]}, is '
                   f'{is_.ravel()[:3]}')
  return wrong


def keep(workdir: str, name: str) -> None:
  """Packs the run in `workdir` as kept/<name>.zip."""
  run = open_run(workdir)
  x = examples(run)
  np.savez_compressed(os.path.join(workdir, OUTPUTS), x=x, **outputs(run, x))
  KEPT.mkdir(exist_ok=True)
  with zipfile.ZipFile(KEPT / f'{name}.zip', 'x', zipfile.ZIP_DEFLATED) as to:
    for path in sorted(pathlib.Path(workdir).rglob('*')):
      inside = path.relative_to(workdir)
      if path.is_file() and not set(_LEFT_OUT) & set(inside.parts):
        # Orbax writes there where the run lay.
        text = b'\n' if path.name == 'commit_success.txt' else path.read_bytes()
        to.writestr(str(inside), text)


if __name__ == '__main__':
  if sys.argv[1:2] == ['--check']:
    print(os.path.dirname(genjax.__file__))
    print(*(line for workdir in sys.argv[2:] for line in check(workdir)),
          sep='\n')
  else:
    keep(*sys.argv[1:])
