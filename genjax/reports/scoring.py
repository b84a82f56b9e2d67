"""Samples of a diffusion run against held-out images, while it trains.

At every checkpoint a few hundred are drawn of the averaged weights, in few
steps and without guidance, under the conditions of held-out images, so that
they are of their mix of classes. Scores are those of `metrics.comparison`.
"""

import dataclasses
import functools
import math
from typing import Any, Callable, Mapping, Sequence

from absl import logging
import numpy as np

from genjax.data import pipeline
from genjax.data import sources
from genjax.diffusion import drawing
from genjax.diffusion.model import make_denoiser
from genjax.metrics import comparison
from genjax.metrics.agreement import Agreement
from genjax.metrics.comparison import Judged
from genjax.metrics.comparison import Score
from genjax.metrics.estimate import Estimate
from genjax.reports import image_sets
from genjax.reports import recognition
from genjax.reports.judge import untrained_features
from genjax.runs import keys
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.diffusion_settings import is_told
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.recipe import SCORING_STEPS
from genjax.runs.task import Session
from genjax.training.loop import Hook

# Of a set that samples are compared with: images, and their numbers, a GiB.
_MOST, _NUMBERS = 5000, 2**28
_COPIES = -3.0  # C_T below which samples are nearer than fresh images are

Look = Callable[[np.ndarray], Judged]


def hooks(session: Session) -> Sequence[Hook]:
  """Scores of samples at every checkpoint, in the log; none without test data.

  Before the first step a classifier is trained and kept, see `recognition`, the
  features of which are compared; without one they are an untrained network's.
  Compared with are 5,000 images of a set at most, chosen at random, or as many
  as a GiB holds.

  Raises:
    ValueError: <workdir>/classifier holds another run.
    Stopped: a signal came while the classifier was trained.
  """
  settings, data = session.settings, session.data
  if not settings.scored or getattr(data, 'test', None) is None:
    return []
  recognition.keep_judge(settings, data, session.workdir, logging.info)
  kept = recognition.kept_judge(settings, session.workdir)
  features = (untrained_features(settings.shape) if kept is None
              else kept[0].features)

  def look(x: np.ndarray) -> Judged:
    return Judged(x.reshape(len(x), -1), np.zeros(0, int), features(x), None)

  @functools.cache  # of a run that is finished already nothing is read
  def real() -> tuple[Judged, Judged, dict[str, Score]]:
    most = max(1, min(_MOST, _NUMBERS // math.prod(settings.shape)))
    train, test = (look(image_sets.read(part, most, settings.seed).x)
                   for part in (data.train, data.test))
    # C_T of held-out images is 0 by definition, and is not said.
    return train, test, {'frechet': _frechet(train, test),
                         'authentic': comparison.authentic(test, train)}

  draw, cond = _make_draw(session), _conditions(session)
  key = keys.key(settings.seed, 'scores')

  def hook(state, step):
    train, test, floor = real()
    x = np.asarray(drawing.sample(
        draw, state.averages['ema'], key, (settings.scored,), cond,
        num_classes(settings)))
    found = scores(look(x), train, test)
    heeded = None if kept is None or cond is None else recognition.agree(
        *kept, x, cond['label'])
    logging.info('step %d: %s', step, sentence(
        len(x), found, floor, heeded))
    return {f'samples/{name}': score.value for name, score in {
        **found, **({} if heeded is None else {
            'recognised': heeded.recognised})}.items()
            if isinstance(score, Estimate)}

  return [Hook(settings.save_every, hook)]


def scores(samples: Judged, train: Judged, test: Judged) -> dict[str, Score]:
  """Frechet distance in features, C_T and the authentic share in pixels."""
  copied = comparison.copies(samples, train, test)
  return {'frechet': _frechet(samples, test),
          'c_t': copied['c_t_pixels'], 'authentic': copied['authentic_pixels']}


def _frechet(a: Judged, b: Judged) -> Score:
  return comparison.frechet(*(np.asarray(x.features) for x in (a, b)))


def sentence(
    num: int, found: Mapping[str, Score], floor: Mapping[str, Score],
    heeded: Agreement | None
) -> str:
  """What scores say, in a line for people.

  Args:
    num: of samples.
    found: their scores.
    floor: what real images score in their place.
    heeded: how often their classes are recognised, where there are some.
  """
  parts = [f'Frechet distance {_said(found["frechet"])}, of training images '
           f'{_point(floor["frechet"])}',
           f'C_T {_said(found["c_t"])}, of copies below {_COPIES:g}',
           f'authentic {_said(found["authentic"])}, of held-out images '
           f'{_point(floor["authentic"])}']
  if heeded is not None:
    parts.append(f'recognised {_said(heeded.recognised)}, of held-out images '
                 f'{heeded.real.value:.2g}')
  line = f'{num} samples: ' + '; '.join(parts)
  c_t = found['c_t']
  if isinstance(c_t, Estimate) and c_t.value < _COPIES:
    line += (': the model copies, as samples are nearer to training images '
             'than held-out images are')
  if heeded is not None and heeded.ignored:
    line += ': the classes seem to be ignored'
  return line


def _said(score: Score) -> str:
  return (f'{score.value:.2g} ({score.low:.2g} to {score.high:.2g})'
          if isinstance(score, Estimate) else score)


def _point(score: Score) -> str:
  return f'{score.value:.2g}' if isinstance(score, Estimate) else score


def _make_draw(session: Session) -> drawing.Draw:
  """In few steps, by one method for all runs, and as the model is."""
  model = session.model.parts.diffusion
  return make_draw(
      dataclasses.replace(
          session.settings, sampler='dpm_solver_2m', guidance=1.0, rho=None,
          eta=None, churn=None, tau=None, sampling_steps=SCORING_STEPS),
      make_denoiser(model), model.process_of)


def _conditions(session: Session) -> dict[str, Any] | None:
  """Those of as many held-out images as are drawn, chosen at random."""
  settings, test = session.settings, session.data.test
  if not is_told(settings):
    return None
  places = np.resize(keys.generator(settings.seed, 'scores').permutation(
      len(test)), settings.scored)
  # Of these images alone: all of them may not fit in memory.
  return dict(pipeline.full_batch(sources.subset(test, places))['cond'])
