"""Which average of the weights of a run draws the best samples.

EDM2, arXiv:2312.02696, section 3: the width that is best depends on the
network, the training time and the metric, and can be found afterwards. Every
average draws from the same noise, so that what differs is the weights.
"""

import dataclasses
import math
import os
from typing import Mapping

from genjax.data import named
from genjax.files import write_json
from genjax.metrics import comparison
from genjax.metrics.comparison import Judged
from genjax.metrics.comparison import Score
from genjax.metrics.estimate import Estimate
from genjax.reports import evaluation
from genjax.reports import image_sets
from genjax.reports.judge import Judge
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.types import Source
from genjax.viz.evaluation import save_sweep
from genjax.viz.figures import plain

_REAL = 'training images'


def open_each(
    settings: evaluation.Settings, data: named.Data
) -> Mapping[str, tuple[Source, int | None]]:
  """Samples by each of the weights that settings name, and the step of the run.

  Raises:
    ValueError: see `evaluation.open_samples`.
  """
  each = {weights: dataclasses.replace(settings, weights=(weights,))
          for weights in settings.weights}
  for one in each.values():  # all are there, before the first draws
    evaluation.open_drawer(one)
  return {weights: evaluation.open_samples(one, data)
          for weights, one in each.items()}


def report(
    settings: evaluation.Settings, samples: Mapping[str, Source],
    data: named.Data, judge: Judge | None, workdir: str
) -> tuple[Table, str]:
  """Writes sweep.json and figures/sweep.png.

  Args:
    settings: of the evaluation.
    samples: of each of the weights.
    data: what they are compared to, with a test set.
    judge: a classifier of the data, if they have classes.
    workdir: the folder.

  Returns:
    A table, a row for each of the weights and one for training images in place
    of samples; and a sentence that says which weights have the least distance,
    and which others lie within its interval.
  """
  def look(source: Source) -> Judged:
    return evaluation.look(image_sets.read(
        source, settings.most, settings.seed), judge)

  train, test = (look(part) for part in data if part is not None)
  name = ('fd_pixels' if judge is None
          else f'fd_{evaluation.name_of(settings.data)}')
  found: dict[str, dict[str, Score]] = {}
  for weights, source in samples.items():
    drawn = look(source)
    found[weights] = {
        name: _distance(drawn, test), **comparison.copies(drawn, train, test),
        'recognised': comparison.recognition(drawn)}
  columns = list(found[settings.weights[0]])
  found[_REAL] = {name: _distance(train, test)}
  table = make_table(['weights', *columns], [
      [weights, *map(scores.get, columns)] for weights, scores in found.items()
  ])
  write_json(os.path.join(workdir, 'sweep.json'), records(table))
  distances = {weights: score for weights, scores in found.items()
               if isinstance(score := scores[name], Estimate)
               and math.isfinite(score.value)}
  save_sweep(os.path.join(workdir, 'figures', 'sweep.png'), plain(name),
             distances, _REAL)
  drawn_by = [weights for weights in distances if weights != _REAL]
  if not drawn_by:
    return table, f'{name} {found[settings.weights[0]][name]}'
  best = min(drawn_by, key=lambda weights: distances[weights].value)
  near = [weights for weights in drawn_by if weights != best
          and distances[weights].value <= distances[best].high]
  return table, (f'samples by {best} are the nearest to held-out images, by '
                 f'{name}' + (f'; within its interval: {", ".join(near)}'
                              if near else ''))


def _distance(a: Judged, b: Judged) -> Score:
  """Frechet distance in features, or in pixels where there is no judge."""
  return comparison.frechet(*(
      x.pixels if x.features is None else x.features for x in (a, b)))
