"""The certificate: every method on every process, and guidance, measured.

Rows are made by running the tables of `diffusion.certified`, and those of
guidance and restoration by `certificate_guided`. They are kept in
certificate.json beside a hash of their inputs, and measured again only where it
is another: the program of the method on that process alone, the grids, and the
code that measures.
"""

import concurrent.futures
import functools
import json
import math
import multiprocessing
import os
from typing import Any, Callable, Collection, Mapping

import jax
import numpy as np

from genjax.checks import check_choice
from genjax.diffusion import certification
from genjax.diffusion import certified
from genjax.diffusion import certified_laws as laws
from genjax.diffusion import certified_roads as roads
from genjax.files import write_text
from genjax.reports import certificate_guided as guided
from genjax.training import programs
from genjax.types import Process

GRIDS = ('karras', 'log')
# Which a new process does not take over from the one that starts it.
_OF_COMPILE_CACHE = ('jax_compilation_cache_dir',
                     'jax_persistent_cache_min_compile_time_secs',
                     'jax_persistent_cache_min_entry_size_bytes')

Row = dict[str, Any]
# (method, process) -> facts; of guidance (a section, what is measured).
Rows = Mapping[tuple[str, str], Row]


def measure(
    out: str, say: Callable[[str], Any], methods: Collection[str] = (),
    processes: Collection[str] = (), *, workers: int = 1
) -> Rows:
  """The rows of certificate.json in `out`, those that are stale measured.

  Args:
    out: the folder.
    say: is told in a line what has been measured.
    methods: names, of roads to the likelihood and of sections of guidance and
      restoration too, all where none is given; rows of others are left out.
    processes: likewise; sections have none.
    workers: how many methods are measured at a time, each in a process of its
      own where there is more than one.

  Raises:
    ValueError: an unknown name.
  """
  names = (*_methods(), *roads.ROADS, *guided.SECTIONS)
  every = tuple(certified.PROCESSES)
  for name in methods:
    check_choice('methods', 'each', name, names)
  for name in processes:
    check_choice('processes', 'each', name, every)
  wanted = [name for name in names if not methods or name in methods]
  chosen = [name for name in every if not processes or name in processes]
  at = {name: guided.SECTIONS.get(name, chosen) for name in wanted}
  path = os.path.join(out, 'certificate.json')
  kept = _read(path)
  rows: dict[tuple[str, str], Row] = {}

  def keep(name: str, found: Mapping[str, Row]) -> None:
    rows.update({(name, p): found[p] for p in at[name]})
    if found != kept.get(name):
      say(f'measured {name}')
      kept[name] = {p: found[p] for p in guided.SECTIONS.get(name, every)
                    if p in found}
      _write(path, {n: kept[n] for n in names if n in kept})

  before = [kept.get(name, {}) for name in wanted]
  if workers == 1:
    for name, old in zip(wanted, before):
      keep(name, _measured(name, at[name], old))
  else:
    cache = {name: jax.config.values[name] for name in _OF_COMPILE_CACHE}
    with concurrent.futures.ProcessPoolExecutor(
        workers, multiprocessing.get_context('spawn'), _configure, (cache,)
    ) as pool:
      jobs = {pool.submit(_measured, name, at[name], old): name
              for name, old in zip(wanted, before)}
      for job in concurrent.futures.as_completed(jobs):
        keep(jobs[job], job.result())
  return {(name, p): rows[name, p] for name in wanted for p in at[name]}


def _configure(values: Mapping[str, Any]) -> None:
  for name, value in values.items():
    jax.config.update(name, value)


def _measured(
    name: str, processes: Collection[str], old: Mapping[str, Row]
) -> dict[str, Row]:
  """Rows of a method or a road, by process: `old` ones if they are not stale.

  Of a section, by what is measured there.
  """
  every, found = certified.processes(), dict(old)
  with jax.enable_x64(True):
    inputs = {p: guided.inputs(name, p) if name in guided.SECTIONS
              else _inputs(name, every[p]) for p in processes}
    stale = [p for p in processes
             if found.get(p, {}).get('inputs') != inputs[p]]
    for p, row in _rows_of(name, stale).items():
      found[p] = {'inputs': inputs[p], **row}
  return found


@functools.cache
def _truth() -> certification.Truth:
  return certification.make_truth(tuple(certified.processes().values()))


@functools.cache
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
  write_text(path, '{\n' + methods + '}\n')


def _rows_of(name: str, processes: Collection[str]) -> dict[str, Row]:
  """Facts of a method, or of a road, on each of these processes."""
  if name in guided.SECTIONS:
    return {what: _rounded(guided.facts(name, what)) for what in processes}
  every = certified.processes()
  if name in roads.ROADS:
    return {p: {'likelihood': _rounded(roads.errors(
        roads.ROADS[name], every[p])._asdict())} for p in processes}
  make, values = _methods()[name], tuple(every.values())
  instrument = laws.Instrument(
      make, certification.make_run(make, values), _truth(), values)
  counts = certification.counts_itself(make, values[0])
  rows = {}
  for p in processes:
    index = list(every).index(p)
    rows[p] = _rounded({'adapted': laws.adapted(instrument, index)._asdict()}
                       if counts else _facts(instrument, index))
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


def _inputs(name: str, process: Process) -> str:
  """Hash of all that a row depends on."""
  if name in roads.ROADS:
    return programs.digest((_instruments(), programs.fingerprint(
        functools.partial(roads.nats, roads.ROADS[name], process),
        np.zeros(roads.POINTS))))
  x, make = np.zeros(certification.ROWS), _methods()[name]
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
  return programs.sources(certification, laws, roads)
