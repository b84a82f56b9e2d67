"""Which scale of guidance draws the best samples of a run, by which method.

Every scale draws from the same noise, under the conditions of the same held-out
images, so that what differs is the guidance. Guidance trades diversity for
samples that are surely of their class (arXiv:2207.12598): of these three scores
the share recognised tells the one, recall (arXiv:1904.06991) the other, and the
Frechet distance sums them up.
"""

import dataclasses
import itertools
import math
import os
from typing import Callable, Mapping, NamedTuple, Sequence

import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import named
from genjax.data import pipeline
from genjax.data import scaled
from genjax.data import sources
from genjax.diffusion.guided import METHODS
from genjax.files import write_json
from genjax.metrics import comparison
from genjax.metrics.comparison import Judged
from genjax.metrics.comparison import Score
from genjax.metrics.estimate import Estimate
from genjax.reports import evaluation
from genjax.reports import image_sets
from genjax.reports.draws import classes_of
from genjax.reports.draws import draw
from genjax.reports.draws import numbers_of
from genjax.reports.image_sets import Images
from genjax.reports.judge import find_judge
from genjax.reports.judge import Judge
from genjax.reports.recognition import kept_judge
from genjax.reports.table import as_json
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.data import scale_of
from genjax.runs.task import Run
from genjax.viz.guidance import Measure
from genjax.viz.guidance import save_guidance

_HIGHEST = 1000.0  # scale, as of the setting
_MOST, _NEAR = 5000, 2000  # images of a set compared, and with neighbours
_DIVERSITY = ('recall: share of held-out images that lie among the samples, in '
              'features, of as many of each')


class Arm(NamedTuple):
  """One way to guide."""

  method: str
  scale: float


def check_run(run: Run) -> None:
  """Raises ValueError unless `run` draws images of classes under guidance."""
  kind = run.task.kind
  check(kind == 'diffusion', 'workdir', 'must be the folder of a run that is '
        'guided, of train_diffusion', f'a {kind}')
  check(bool(classes_of(run.settings)), 'workdir', 'must be a run that is told '
        'classes: guidance follows one', 'an unconditional run')
  check(len(run.settings.shape) == 3, 'workdir', 'must be a run on images',
        f'{run.settings.data!r} of shape {run.settings.shape}')


def own_arm(run: Run) -> Arm:
  """How the run itself is guided."""
  return Arm(run.settings.guidance_method, run.settings.guidance)


def arms_of(
    run: Run, methods: Sequence[str], scales: Sequence[float]
) -> tuple[Arm, ...]:
  """All scales by all methods, in order, and the run's own among them.

  Args:
    run: whose own scale is one of each method's, and its own method too.
    methods: of `guided.METHODS`; the run's own where there is none.
    scales: two or more.

  Raises:
    ValueError: an unknown method, or scales that are no such.
  """
  own = own_arm(run)
  for method in methods:
    check_choice('guidance_methods', 'each', method, METHODS)
  check(all(0 <= scale <= _HIGHEST for scale in scales)
        and len(set(scales)) == len(scales) >= 2, 'scales', 'must be two or '
        f'more different numbers from 0 to {_HIGHEST:g}',
        ','.join(f'{scale:g}' for scale in scales) or 'none')
  arms = [Arm(*pair) for pair in itertools.product(
      dict.fromkeys(methods or [own.method]), sorted({*scales, own.scale}))]
  return tuple(dict.fromkeys([*arms, own]))


def judge_of(
    run: Run, data: named.Data, classifier: str | None, workdir: str,
    say: Callable[[str], None]
) -> Judge:
  """The classifier of a folder, that kept beside the run, or one trained there.

  Raises:
    ValueError, Stopped: see `find_judge`.
  """
  kept = None if classifier else kept_judge(run.settings, workdir)
  return kept[0] if kept else find_judge(
      classifier, data, image_sets.data_of(run.settings), workdir, say)


def report(
    run: Run, data: named.Data, judge: Judge, arms: Sequence[Arm], folder: str,
    *, num_samples: int, seed: int
) -> tuple[Table, str]:
  """Writes report.json and guidance.png.

  Args:
    run: whose settings hold for all but how it is guided.
    data: of it, with held-out images.
    judge: a classifier of its classes.
    arms: of `arms_of`.
    folder: where they are written.
    num_samples: of each arm.
    seed: of the noise, and of the held-out images whose classes are asked for.

  Returns:
    A table, a row an arm and one of real images; and the sentence of `said`.

  Raises:
    ValueError: too few samples or held-out images for the Frechet distance.
  """
  if data.test is None:
    raise ValueError('workdir: must be of a run on data some of which are held '
                     'out, got none')
  train, test = (evaluation.look(image_sets.read(part, _MOST, seed), judge)
                 for part in (data.train, data.test))
  fewest = comparison.fewest(_features(test).shape[1])
  about = f'must be {fewest} or more, twice as many as the features compared'
  check(num_samples >= fewest, 'num_samples', about, num_samples)
  check(len(test.pixels) >= fewest, 'workdir', f'held-out images {about}',
        len(test.pixels))
  places = np.resize(keys.generator(seed, 'subset').permutation(
      len(data.test)), num_samples)
  like = sources.subset(data.test, places)
  name = f'fd_{evaluation.name_of(run.settings.data)}'
  near = min(_NEAR, num_samples, len(train.pixels), len(test.pixels))

  def scores(drawn: Judged, recognised: Score) -> dict[str, Score]:
    pair = _features(drawn), _features(test)
    return {'recognised': recognised, name: comparison.frechet(*pair),
            'recall': comparison.neighbours(*pair, near)['recall']}

  found = {}
  for arm in arms:
    drawn = evaluation.look(_samples(run, arm, like, seed), judge)
    found[arm] = scores(drawn, comparison.recognition(drawn))
  floor = scores(train, comparison.recognition(test, sources.labels_of(like)))
  line = said(found, floor, own_arm(run), name)
  rows = [(*arm, *row.values()) for arm, row in found.items()]
  table = make_table(['method', Column('scale', digits='g'), *floor],
                     [*rows, ('real images', None, *floor.values())])
  os.makedirs(folder, exist_ok=True)
  write_json(os.path.join(folder, 'report.json'), {
      'said': line, 'own': own_arm(run)._asdict(), 'step': run.step,
      'seed': seed, 'num_samples': num_samples,
      'num_held_out': len(test.pixels), 'num_neighbours': near,
      'diversity': _DIVERSITY, 'extractor': judge.extractor,
      'floor': as_json(table)[-1], 'scores': as_json(table)[:-1]})
  titles = ('share recognised', 'Frechet distance to held-out images',
            'diversity: recall of held-out images')
  save_guidance(os.path.join(folder, 'guidance.png'), [
      Measure(title, _lines(found, key), _parts(floor[key]))
      for title, key in zip(titles, floor)], run.settings.guidance)
  return table, line


def said(
    found: Mapping[Arm, Mapping[str, Score]], floor: Mapping[str, Score],
    own: Arm, name: str
) -> str:
  """Which scale has the least Frechet distance, and what the run's own gives.

  As all draw from one noise and are held against the same images, scales differ
  more surely than their intervals say.

  Args:
    found: scores of each arm, `own` among them.
    floor: those of real images.
    own: how the run is guided.
    name: of the Frechet distance among the scores.
  """
  many = len({arm.method for arm in found}) > 1
  distances = {arm: score.value for arm, row in found.items() if isinstance(
      score := row[name], Estimate) and math.isfinite(score.value)}
  beside, line, verdict = [('real images', floor)], '', ''
  if distances:
    best = min(distances, key=lambda arm: distances[arm])
    least = found[best][name]
    near = [arm for arm in distances if arm != best and isinstance(
        least, Estimate) and distances[arm] <= least.high]
    line = (f'of {len(found)} tried, the scale {_called([best], many)} has the '
            f'least Frechet distance, {_said(least)}; within its interval '
            + (f'lie {_called(near, many)}; ' if near else 'lies no other; '))
    verdict = (', has it' if own == best else
               f', lies {"within" if own in near else "outside"}')
    if own != best:
      beside = [('that of least distance', found[best]), *beside]
  else:
    line = 'no scale has a Frechet distance; '
  return line + f"the run's own, {_called([own], many)}{verdict}: " + '; '.join(
      f'{word} {_said(found[own][key])}, ' + ' and '.join(
          f'{who} {_point(row[key])}' for who, row in beside)
      for word, key in (('recognised', 'recognised'), ('distance', name),
                        ('recall', 'recall')))


def _called(arms: Sequence[Arm], many: bool) -> str:
  """Scales, by their methods where there are many."""
  of: dict[str, list[str]] = {}
  for method, scale in arms:
    of.setdefault(method, []).append(f'{scale:g}')
  return ', '.join(
      (f'{", ".join(scales[:-1])} and ' if scales[1:] else '') + scales[-1]
      + (f' by {method}' if many else '') for method, scales in of.items())


def _samples(run: Run, arm: Arm, like: sources.Source, seed: int) -> Images:
  """Samples of a run, guided so, under the conditions of images."""
  settings = dataclasses.replace(
      run.settings, guidance=arm.scale, guidance_method=arm.method)
  guided = run._replace(settings=settings, **run.task.build(
      settings).functions(run.params)._asdict())
  label = sources.labels_of(like)
  x = draw('workdir', guided, len(like), label, seed, sources.vectors_of(like)
           if numbers_of(settings) else None)
  scale = scale_of(settings)
  return Images(pipeline.to_model_range(x) if scale is None
                else scaled.to_model(scale, x), np.asarray(label))


def _features(images: Judged) -> np.ndarray:
  """Those of a set that a judge looked at."""
  return np.asarray(images.features)


def _lines(
    found: Mapping[Arm, Mapping[str, Score]], key: str
) -> dict[str, list[tuple[float, tuple[float, float, float]]]]:
  """method -> its scales and scores."""
  lines: dict[str, list[tuple[float, tuple[float, float, float]]]] = {}
  for arm, row in found.items():
    lines.setdefault(arm.method, []).append((arm.scale, _parts(row[key])))
  return lines


def _parts(score: Score) -> tuple[float, float, float]:
  """Value and interval, NaN where there is no number."""
  return score if isinstance(score, Estimate) else (math.nan,) * 3


def _said(score: Score) -> str:
  return (f'{score.value:.3g} ({score.low:.3g} to {score.high:.3g})'
          if isinstance(score, Estimate) else score)


def _point(score: Score) -> str:
  return f'{score.value:.3g}' if isinstance(score, Estimate) else score
