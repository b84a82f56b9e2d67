"""Figures of the certificate on guidance and on restoration."""

import os
from typing import Mapping

import numpy as np

from genjax.diffusion import certified_guidance as guidance
from genjax.reports import certificate_guided_page as page
from genjax.reports.certificate_guided_page import Row
from genjax.reports.certificate_guided_page import Rows
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

FIGURES: Mapping[str, str] = {
    'guidance': 'Variance and mean of what is sampled, by scale; the line of '
                'classifier lies on that of classifier_free',
    'ranks': 'Ranks of the truth along what is measured, by restorer',
}
_ACROSS = 4  # panels in a row


def draw(folder: str, rows: Rows) -> None:
  """Writes the figures of the sections that have rows."""
  if found := page.guidances(rows):
    save_panels(os.path.join(folder, 'guidance.png'), [[
        _laws(found, 'variance', 'y'), _laws(found, 'mean', '')]], height=4.6)
  if sections := page.restorations(rows):
    names = list(dict.fromkeys(
        name for section, name in rows if section in sections))
    panels = [_ranks(rows, sections, name) for name in names]
    save_panels(os.path.join(folder, 'ranks.png'), [
        panels[i:i + _ACROSS] for i in range(0, len(panels), _ACROSS)],
                width=11, height=2.9)


def _laws(found: Mapping[str, Row], what: str, log: str) -> Panel:
  """One line a guidance; tilted laws dashed, one for p(x) and a weaker one."""
  layers, tilted = [], {}
  for (name, row), shade in zip(found.items(), figures.colors(len(found))):
    scales = np.array([float(s) for s in row])
    layers.append(Layer('marked', scales, np.array(
        [at[what] for at in row.values()]), name, shade))
    weaker = guidance.other(name) != guidance.UNCOND
    tilted.setdefault(weaker, Layer(
        'dashed', scales, np.array([at['tilted'][what == 'variance']
                                    for at in row.values()]),
        'tilted law' + ', weaker' * weaker, shade if weaker else 'black'))
  return Panel(what, 'scale', what, [*tilted.values(), *layers], log=log,
               legend_below=True)


def _ranks(rows: Rows, sections: list[str], name: str) -> Panel:
  """Share of ranks in each bin over that of uniform ones, a line a data set."""
  layers = []
  for section, shade in zip(sections, figures.colors(len(sections))):
    if (row := rows.get((section, name))) is not None:
      counts = np.array(row['ranks'][page.ALONG])
      title = section.removeprefix('restoration of ').removesuffix(' data')
      layers.append(Layer(
          'marked', (np.arange(len(counts)) + 0.5) / len(counts),
          counts / counts.mean(), title, shade))
  layers.append(Layer('dashed', np.array([0.0, 1.0]), np.ones(2), None,
                      'black'))
  return Panel(name, 'rank / draws', 'ranks / expected', layers,
               y_limits=(0.0, 4.5), x_limits=(0.0, 1.0))
