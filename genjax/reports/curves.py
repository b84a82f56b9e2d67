"""The curves of a training run, out of its logs."""

import os
from typing import NamedTuple, Sequence

import numpy as np

from genjax.training.logs import read_metrics
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels


class Curve(NamedTuple):
  """A metric of the logs that is drawn over the steps."""

  name: str  # in metrics.jsonl; its values on test data are test/<name>
  title: str
  unit: str
  low: float | None = None  # where the axis begins


def draw(workdir: str, curves: Sequence[Curve]) -> None:
  """Writes figures/training.png: those of `curves` that are in the logs.

  The first of them must be there: its legend stands for all.
  """
  records = read_metrics(os.path.join(workdir, 'metrics.jsonl'))

  def layers(curve, prefix, kind, label, color):
    name = prefix + curve.name
    points = [(r['step'], r[name]) for r in records if r.get(name) is not None]
    x, y = np.reshape(points, (-1, 2)).T
    # The first, which every run logs, explains the others too.
    said = label if curve is curves[0] else None
    return [Layer(kind, x, y, said, color)] if points else []

  panels = [
      Panel(curve.title, 'step', curve.unit,
            layers(curve, '', 'line', 'training', figures.BLUE)
            + layers(curve, 'test/', 'marked', 'test, EMA weights',
                     figures.ORANGE),
            y_limits=None if curve.low is None else (curve.low, None))
      for curve in curves]
  panels = [panel for panel in panels if panel.layers]
  if panels:
    save_panels(os.path.join(workdir, 'figures', 'training.png'), [panels],
                width=max(9, 3 * len(panels)))
