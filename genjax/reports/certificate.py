"""The certificate of samplers: every method on every process, measured.

Rows are made by running the tables of `diffusion.certified`. They are kept in
certificate.json beside a hash of their inputs, and measured again only where it
is another: the program of the method on that process alone, the grids, and the
code that measures.
"""

import ast
import functools
import json
import math
import os
from typing import Any, Callable, Collection, Iterable, Mapping

import jax
import numpy as np

from genjax.checks import check_choice
from genjax.diffusion import certification
from genjax.diffusion import certified
from genjax.diffusion import certified_laws as laws
from genjax.training import programs
from genjax.types import Process
from genjax.viz.figures import write_whole

GRIDS = ('karras', 'log')

Row = dict[str, Any]
Rows = Mapping[tuple[str, str], Row]  # (method, process) -> facts


def measure(
    out: str, say: Callable[[str], Any], methods: Collection[str] = (),
    processes: Collection[str] = ()
) -> Rows:
  """The rows of certificate.json in `out`, those that are stale measured.

  Args:
    out: the folder.
    say: is told in a line what is being measured.
    methods: names, all where none is given; rows of others are left out.
    processes: likewise.

  Raises:
    ValueError: an unknown name.
  """
  made, every = _methods(), certified.processes()
  for name in methods:
    check_choice('methods', 'each', name, made)
  for name in processes:
    check_choice('processes', 'each', name, every)
  wanted = [name for name in made if not methods or name in methods]
  at = [name for name in every if not processes or name in processes]
  path = os.path.join(out, 'certificate.json')
  kept = _read(path)
  rows: dict[tuple[str, str], Row] = {}
  with jax.enable_x64(True):
    truth = certification.make_truth(tuple(every.values()))
    for name in wanted:
      inputs = {p: _inputs(made[name], every[p]) for p in at}
      stale = [p for p in at
               if kept.get(name, {}).get(p, {}).get('inputs') != inputs[p]]
      found = {**kept.get(name, {}), **{
          p: {'inputs': inputs[p], **row} for p, row in _row_of(
              made[name], truth, every, stale, lambda p: say(
                  f'measuring {name} on {p}')).items()}}
      rows.update({(name, p): found[p] for p in at})
      if stale:
        kept[name] = {p: found[p] for p in every if p in found}
        _write(path, {n: kept[n] for n in made if n in kept})
  return rows


def _methods() -> dict[str, certification.Make]:
  """Those that take the steps of a grid, and others by their tolerances."""
  some = next(iter(certified.processes().values()))
  return {name: make for name, make in (
      {**certified.methods(), **certified.ADAPTIVE}).items()
          if name in certified.ADAPTIVE
          or not certification.counts_itself(make, some)}


def _read(path: str) -> dict[str, dict[str, Row]]:
  if not os.path.exists(path):
    return {}
  with open(path, encoding='utf-8') as file:
    return json.load(file)


def _write(path: str, kept: Mapping[str, Mapping[str, Row]]) -> None:
  """JSON of one line a row, whole or not at all."""
  methods = ',\n'.join(
      json.dumps(name) + ': {\n' + ',\n'.join(
          f'  {json.dumps(p)}: {json.dumps(row, allow_nan=False)}'
          for p, row in rows.items()) + '}'
      for name, rows in kept.items())

  def write(partial: str) -> None:
    with open(partial, 'w', encoding='utf-8') as file:
      file.write('{\n' + methods + '}\n')

  write_whole(path, write)


def _row_of(
    make: certification.Make, truth: certification.Truth,
    every: Mapping[str, Process], names: Iterable[str],
    say: Callable[[str], Any]
) -> dict[str, Row]:
  """Facts of a method on each of the processes of these names."""
  all_processes = tuple(every.values())
  instrument = laws.Instrument(
      make, certification.make_run(make, all_processes), truth, all_processes)
  rows = {}
  for name in names:
    say(name)
    index = list(every).index(name)
    rows[name] = _rounded(
        {'adapted': laws.adapted(instrument, index)._asdict()}
        if certification.counts_itself(make, all_processes[0])
        else _facts(instrument, index))
  return rows


def _facts(instrument: laws.Instrument, index: int) -> Row:
  drawn = laws.draws(instrument)
  price = laws.cost(instrument, index)
  row: Row = {'draws': drawn, 'evaluations_per_step': price.per_step}
  if drawn:
    row['variance_errors'] = {
        grid: laws.law_errors(instrument, index, grid) for grid in GRIDS}
  else:
    remembers = laws.history(instrument.make, instrument.processes[0]) > 0
    starts = {'exact': True, 'own': False} if remembers else {'own': False}
    row['errors'] = {
        grid: {name: laws.path_errors(instrument, index, grid, exact_start=e)
               for name, e in starts.items()} for grid in GRIDS}
  row['budgets'] = {}
  for budget in laws.BUDGETS:
    spent = laws.spend(instrument, index, budget, price)
    row['budgets'][str(budget)] = spent and {
        'steps': spent.steps, 'evaluations': spent.evaluations,
        'mean': spent.law and spent.law.mean,
        'variance': spent.law and spent.law.variance, 'w2': spent.distance}
  return row


def _rounded(value: Any) -> Any:
  """Numbers of six digits; None for what is no number."""
  if isinstance(value, dict):
    return {name: _rounded(x) for name, x in value.items()}
  if isinstance(value, list):
    return [_rounded(x) for x in value]
  if isinstance(value, float):
    return float(f'{value:.6g}') if math.isfinite(value) else None
  return value


def _inputs(make: certification.Make, process: Process) -> str:
  """Hash of all that a row depends on."""
  x = np.zeros(certification.ROWS)
  grids = (laws.grid_of(process, 'karras', 2), process.grid(3))
  return programs.digest((
      _instruments(), _answer(process), repr((laws.STEPS, laws.BUDGETS)),
      *(programs.fingerprint(
          functools.partial(certification.solve, make, process), line, x,
          times, certification.noises())
        for line, times in zip((laws.MIXTURE, laws.GAUSSIAN), grids))))


@functools.cache
def _answer(process: Process) -> str:
  return programs.fingerprint(
      functools.partial(certification.exact_flow, process), laws.MIXTURE,
      np.zeros(certification.ROWS), np.ones(()), np.ones(()))


@functools.cache
def _instruments() -> str:
  """What measures, without comments and docstrings."""
  texts = []
  for module in (certification, laws):
    with open(str(module.__file__), encoding='utf-8') as file:
      tree = ast.parse(file.read())
    for node in ast.walk(tree):
      if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (
          ast.get_docstring(node) is not None):
        del node.body[0]
    texts.append(ast.dump(tree))
  return programs.digest(texts)
