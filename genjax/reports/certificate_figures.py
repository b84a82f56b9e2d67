"""Figures of the certificate: errors by steps, laws by evaluations."""

import math
import os
from typing import Callable, Mapping

import numpy as np

from genjax.diffusion import certified
from genjax.diffusion import certified_laws as laws
from genjax.reports.certificate import Row
from genjax.reports.certificate import Rows
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

_SHOWN = ('edm', 'vp_linear')

FIGURES: Mapping[str, str] = {
    'orders': 'Largest error of x against steps; euler on edm is ddim',
    'variances': 'Variance of the output over that of the data, by evaluations',
    'distances': 'W2 to the data by evaluations',
}


def draw(folder: str, rows: Rows) -> None:
  """Writes every figure to `folder`."""
  shown = [p for p in _SHOWN if any(p == at for _, at in rows)] or list(
      dict.fromkeys(p for _, p in rows))[:1]
  save_panels(os.path.join(folder, 'orders.png'), [[
      _orders(rows, p, title, wanted)
      for title, wanted in (('one step', False), ('multistep', True))]
                                                   for p in shown], height=3.6)
  _, variance = laws.moments(laws.GAUSSIAN)
  for name, label, value, log in (
      ('variances', 'variance / variance of the data',
       lambda spent: spent['variance'] and spent['variance'] / variance, 'x'),
      ('distances', 'W2', lambda spent: spent['w2'], 'xy')):
    save_panels(os.path.join(folder, f'{name}.png'), [
        [_spending(rows, p, group, label, value, log) for group in (
            'one step', 'multistep', 'draws')] for p in shown], height=3.6)


def _group(name: str, row: Row) -> str:
  if row['draws']:
    return 'draws'
  return 'multistep' if 'exact' in row['errors']['karras'] else 'one step'


def _named(rows: Rows, process: str, group: str) -> dict[str, Row]:
  """Rows of a group on a process, without variants."""
  return {m: row for (m, p), row in rows.items()
          if p == process and m not in certified.VARIANTS
          and 'budgets' in row and _group(m, row) == group}


def _orders(rows: Rows, process: str, title: str, multistep: bool) -> Panel:
  chosen = _named(rows, process, 'multistep' if multistep else 'one step')
  steps = np.array(laws.STEPS)
  layers = [Layer('marked', steps, _floats(row['errors']['karras'][
      'exact' if multistep else 'own']), m, shade)
            for (m, row), shade in zip(chosen.items(), figures.colors(
                len(chosen)))]
  return Panel(f'{title}, {process}, Karras', 'steps', 'largest error of x',
               layers, log='xy', legend_below=True)


def _spending(
    rows: Rows, process: str, group: str, label: str,
    value: Callable[[Row], float | None], log: str
) -> Panel:
  chosen = _named(rows, process, group)
  layers = []
  for (m, row), shade in zip(chosen.items(), figures.colors(len(chosen))):
    spent = [s for s in row['budgets'].values() if s is not None]
    layers.append(Layer('marked', np.array([s['evaluations'] for s in spent]),
                        _floats([value(s) for s in spent]), m, shade))
  if log == 'x' and layers:
    layers.append(Layer('dashed', np.array([laws.BUDGETS[0], laws.BUDGETS[-1]]),
                        np.ones(2), None, 'black'))
  # One scale for all.
  return Panel(f'{group}, {process}', 'evaluations', label, layers, log=log,
               x_limits=(4.0, 130.0), legend_below=True,
               y_limits=(0.0, 2.0) if log == 'x' else (1e-3, 5.0))


def _floats(values: list[float | None]) -> np.ndarray:
  return np.array([math.nan if v is None else v for v in values])
