"""Guidance of one run by another: by a weaker model, or by a classifier."""

import dataclasses
from typing import Callable

from genjax.checks import check
from genjax.diffusion import drawing
from genjax.diffusion import fields
from genjax.diffusion import guidance
from genjax.diffusion.model import make_denoiser
from genjax.runs import classifier
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.diffusion_settings import is_told
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.task import Run
from genjax.types import Array
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Params
from genjax.types import Process
from genjax.types import Shape

# (process, denoiser of the run, params of the guide, cond) -> the guided one.
Guide = Callable[[Process, Denoiser, Params, Cond | None], Denoiser]


def by_weaker(run: Run, weaker: Run, scale: float) -> Run:
  """`run`, its samples guided by a weaker model under the same condition.

  Autoguidance (arXiv:2406.02507), within the interval of the settings. The
  weaker one may be of another noise process, size or number of steps.

  Raises:
    ValueError: runs of other kinds, or of other data.
  """
  check_pair('weaker', run, weaker)
  parts = weaker.task.build(weaker.settings).parts
  make = make_denoiser(parts.diffusion)

  def guide(process: Process, denoiser: Denoiser, params: Params,
            cond: Cond | None) -> Denoiser:
    other = fields.on_process(process, parts.diffusion.process_of(params),
                              make(params, cond))
    return guidance.autoguidance(denoiser, other, scale)

  return _guided(run, weaker.params, guide)


def by_classifier(run: Run, judge: Run, scale: float) -> Run:
  """`run`, its samples guided by a classifier of noisy inputs.

  Classifier guidance (arXiv:2105.05233), within the interval of the settings.
  The model is asked without its condition, where it can be, so that scale 1 is
  what the classifier says.

  Raises:
    ValueError: the classifier is none of noisy inputs, or of other data.
  """
  check(judge.task.kind == 'classifier', 'classifier', 'must be a run of '
        'train_classifier', f'one of {judge.task.kind}')
  settings = judge.settings
  check(run.task.kind == 'diffusion', 'workdir', 'must hold a diffusion run',
        f'one of {run.task.kind}')
  check((settings.shape, settings.class_names) == (
      run.settings.shape, run.settings.class_names), 'classifier', 'must be of '
        f'examples {run.settings.shape} of {len(run.settings.class_names)} '
        'classes, as the run is', f'{settings.shape} of '
        f'{len(settings.class_names)}')
  log_prob = classifier.make_log_prob(
      judge.task.build(settings), settings)

  def guide(process: Process, denoiser: Denoiser, params: Params,
            cond: Cond | None) -> Denoiser:
    if cond is None:
      raise ValueError('classifier: must be told a class, got none')
    return guidance.classifier(
        process, denoiser, lambda x, t: log_prob(
            params, process, x, t, cond['label']), scale)

  return _guided(run, judge.params, guide, told=False)


def check_pair(where: str, run: Run, other: Run) -> None:
  """Raises ValueError unless both are diffusion runs of data of one shape."""
  for name, one in (('workdir', run), (where, other)):
    check(one.task.kind == 'diffusion', name, 'must hold a diffusion run',
          f'one of {one.task.kind}')
  check(other.settings.shape == run.settings.shape, where, 'must be of examples'
        f' of shape {run.settings.shape}, as the run is',
        f'shape {other.settings.shape}')
  names = [s.class_names if is_told(s) else ()
           for s in (run.settings, other.settings)]
  check(names[0] == names[1], where, 'must be told the classes that the run is '
        f'told, {len(names[0])} of them', f'{len(names[1])}, or others')


def _guided(run: Run, other: Params, guide: Guide, told: bool = True) -> Run:
  """`run` with another `sample`, by the draw of its settings."""
  diffusion = run.task.build(run.settings).parts.diffusion
  make = make_denoiser(diffusion)
  low, high = run.settings.guidance_log_snr

  def denoiser(params: Params, cond: Cond | None = None) -> Denoiser:
    own, others = params
    process = diffusion.process_of(own)
    plain = make(own, cond if told else None)
    return guidance.limited_interval(
        process, guide(process, plain, others, cond), plain,
        log_snr_low=low, log_snr_high=high)

  # A condition is followed by the guide alone.
  settings = dataclasses.replace(
      run.settings, guidance=1.0, guidance_method='classifier_free')
  draw = make_draw(settings, denoiser,
                   lambda params: diffusion.process_of(params[0]))
  classes = num_classes(run.settings)

  def sample(key: Key, shape: Shape = (), cond: Cond | None = None) -> Array:
    return drawing.sample(draw, (run.params, other), key, shape, cond, classes)

  return run._replace(sample=sample)
