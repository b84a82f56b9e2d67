"""What is kept of a benchmark, and the page of all of them."""

import datetime
import importlib.metadata
import json
import os
import platform
from typing import Any, Mapping

import jax

from genjax.checks import check
from genjax.reports import table as tables
from genjax.runs.workdir import write_json

_LIBRARIES = ('jax', 'jaxlib', 'flax', 'optax', 'torch', 'diffusers')
# A machine was quiet before if fewer programs than this wanted to run.
_QUIET = 1.3

_INTRODUCTION = """# How fast it is

Beside PyTorch and diffusers on the same machine, in turns: the same layers with
the same params, DDPM's noise, clipping, Adam (PyTorch's fused one) and an
average of the params on both sides. Each number is a median over rounds; a
ratio is that of the two times of a round, above 1 ours is faster, and beside it
stand the least and the most of the rounds. A sampler's own step is what is left
of drawing samples when the calls of the network alone are subtracted.

This page is written by `make benchmarks`, which measures all of it anew."""


def facts() -> dict[str, Any]:
  """Where and when something is measured, and with what.

  `load` is how many programs wanted to run over the last minute.
  """
  versions = {}
  for name in _LIBRARIES:
    try:
      versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      pass  # a suite that does not need it
  return {'date': datetime.datetime.now(datetime.UTC).date().isoformat(),
          'device': jax.devices()[0].device_kind,
          'machine': f'{platform.machine()} {_processor()}'.strip(),
          'cores': len(os.sched_getaffinity(0)) if hasattr(
              os, 'sched_getaffinity') else os.cpu_count(),
          'load': os.getloadavg()[0], 'python': platform.python_version(),
          'versions': versions}


def write(workdir: str, suite: str, caption: str, table: tables.Table,
          where: Mapping[str, Any]) -> None:
  """Writes report.json; `where` are `facts` from before the measurement."""
  write_json(os.path.join(workdir, 'report.json'), {
      'suite': suite, 'caption': caption, **where,
      'columns': [column._asdict() for column in table.columns],
      'cases': tables.records(table)})


def page(folder: str) -> str:
  """The reports in the folders of `folder`, as Markdown.

  Raises:
    ValueError: there are none.
  """
  parts = [_INTRODUCTION]
  for name in sorted(os.listdir(folder)):
    path = os.path.join(folder, name, 'report.json')
    if os.path.exists(path):
      with open(path, encoding='utf-8') as file:
        parts.append(_section(json.load(file)))
  check(len(parts) > 1, 'page', f'{folder} must hold folders with a '
        'report.json', 'none')
  return '\n\n'.join(parts) + '\n'


def _section(report: Mapping[str, Any]) -> str:
  columns = [tables.Column(**column) for column in report['columns']]
  rows = list(report['cases'].values())
  # A column in which no row has a value says nothing.
  columns = [column for column in columns
             if any(row[column.name] is not None for row in rows)]
  table = tables.make_table(
      columns, [[row[c.name] for c in columns] for row in rows])
  versions = ', '.join(
      f'{name} {version}' for name, version in report['versions'].items())
  load = report['load']
  others = ('The machine was quiet.' if load < _QUIET else
            f'Load of the minute before: {load:.1f}, that of a table measured '
            'just before among it.')
  caption = report['caption']
  return (f'## {report["suite"].capitalize()}\n\n'
          f'{caption[0].upper()}{caption[1:]}.\n\n'
          f'{tables.as_markdown(table)}\n\n'
          f'{report["date"]}, {report["machine"]}, {report["cores"]} cores, '
          f'{report["device"]}; Python {report["python"]}, {versions}. '
          f'{others}')


def _processor() -> str:
  """Its name, where the system tells it."""
  try:
    with open('/proc/cpuinfo', encoding='utf-8') as file:
      for line in file:
        if line.startswith('model name'):
          return line.partition(':')[2].strip()
  except OSError:
    pass
  return ''
