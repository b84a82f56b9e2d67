"""Guidance of one run by another: by a weaker model, or by a classifier."""

import dataclasses
import functools
import math
from typing import Any, Callable

import jax
import jax.numpy as jnp

from genjax import noisy_inputs
from genjax.checks import check
from genjax.diffusion import drawing
from genjax.diffusion import fields
from genjax.diffusion import guidance
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.process import coefficients
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.diffusion_settings import is_told
from genjax.runs.diffusion_settings import num_classes
from genjax.runs.settings import check_settings
from genjax.runs.task import Functions
from genjax.runs.task import Model
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
    ValueError: runs of other kinds, or of other data; a scale out of range.
  """
  check_pair('weaker', run, weaker)
  parts = weaker.task.build(weaker.settings).parts
  make = make_denoiser(parts.diffusion)

  def guide(process: Process, denoiser: Denoiser, params: Params,
            cond: Cond | None) -> Denoiser:
    other = fields.on_process(process, parts.diffusion.process_of(params),
                              make(params, cond))
    return guidance.autoguidance(denoiser, other, scale)

  return _guided(run, weaker.params, guide, scale,
                 classes=num_classes(run.settings))


def by_classifier(run: Run, judge: Run, scale: float) -> Run:
  """`run`, its samples guided by a classifier of noisy inputs.

  Classifier guidance (arXiv:2105.05233), within the interval of the settings.
  The model is asked without its condition, but where it has never been trained
  without one, so that scale 1 is what the classifier says.

  Raises:
    ValueError: the classifier is none of noisy inputs, or of other data; a
      scale out of range.
  """
  _check_kind('classifier', judge, 'classifier')
  _check_kind('workdir', run, 'diffusion')
  settings, own = judge.settings, run.settings
  _check_shape('classifier', own, settings)
  check(settings.class_names == own.class_names, 'classifier', 'must be of the '
        f'{len(own.class_names)} classes of the data of the run',
        f'of {len(settings.class_names)}, or of others')
  check(not (own.conditional and own.vector_names), 'classifier', 'must be '
        'absent for a run that is told numbers', 'one')
  log_prob = make_log_prob(judge.task.build(settings), settings)

  def guide(process: Process, denoiser: Denoiser, params: Params,
            cond: Cond | None) -> Denoiser:
    if cond is None:
      raise ValueError('classifier: must be told a class, got none')
    return guidance.classifier(
        process, denoiser, lambda x, t: log_prob(
            params, process, x, t, cond['label']), scale)

  return _guided(run, judge.params, guide, scale,
                 classes=len(own.class_names),
                 told=is_told(own) and own.label_dropout == 0)


def make_log_prob(model: Model, settings: Any) -> Callable[..., Array]:
  """(params, process, x [B, ...], t, label [B]) -> log p(label | x_t) [B].

  Of a classifier of noisy inputs, on any noise process.

  Raises:
    ValueError: it is none.
  """
  check(settings.noise > 0, 'classifier', 'must have been trained on noisy '
        'images: train_classifier --noise=50', 'one of images without noise')

  def log_prob(
      params: Params, process: Process, x: Array, t: Array, label: Array
  ) -> Array:
    alpha, sigma = coefficients(process, t, x.ndim)
    level = jnp.minimum(-0.5 * process.log_snr(t), math.log(settings.noise))
    logits = model.parts.logits(params, noisy_inputs.with_level(
        x / jnp.hypot(alpha, sigma), level))
    return jnp.take_along_axis(
        jax.nn.log_softmax(logits), label[:, None], axis=1)[:, 0]

  return log_prob


def check_pair(where: str, run: Run, other: Run) -> None:
  """Raises ValueError unless both are diffusion runs that are asked alike."""
  _check_kind('workdir', run, 'diffusion')
  _check_kind(where, other, 'diffusion')
  _check_shape(where, run.settings, other.settings)
  ends = [s.value_range for s in (run.settings, other.settings)]
  check(ends[0] == ends[1], where, 'must be of data of the range '
        f'{ends[0] or "of 8 bits"}, as the run is', ends[1] or 'of 8 bits')
  told = [(s.class_names, s.vector_names) if is_told(s) else ((), ())
          for s in (run.settings, other.settings)]
  check(told[0] == told[1], where, 'must be told the '
        f'{len(told[0][0])} classes and {len(told[0][1])} numbers that the run '
        'is told', f'one of {len(told[1][0])} and {len(told[1][1])}, or of '
        'others')


def _check_kind(where: str, run: Run, kind: str) -> None:
  check(run.task.kind == kind, where, f'must hold a run of train_{kind}',
        f'a {run.task.kind}')


def _check_shape(where: str, own: Any, other: Any) -> None:
  check(other.shape == own.shape, where, 'must be of examples of shape '
        f'{own.shape}, as the run is', other.shape)


def _guided(
    run: Run, other: Params, guide: Guide, scale: float, *,
    classes: int | None, told: bool = True
) -> Run:
  """`run` of a task whose models draw under the guide, and without their own.

  Args:
    run: of a diffusion model.
    other: params of the guide.
    guide: what makes a guided denoiser.
    scale: of the guidance, whose range is that of the settings.
    classes: number of those that are drawn where none is asked for.
    told: whether the model is told the condition.
  """
  check_settings(dataclasses.replace(run.settings, guidance=scale))

  def build(settings: Any) -> Model:
    model = run.task.build(settings)
    diffusion = model.parts.diffusion
    make = make_denoiser(diffusion)
    low, high = settings.guidance_log_snr

    def denoiser(params: Params, cond: Cond | None = None) -> Denoiser:
      own, others = params
      process = diffusion.process_of(own)
      plain = make(own, cond if told else None)
      return guidance.limited_interval(
          process, guide(process, plain, others, cond), plain,
          log_snr_low=low, log_snr_high=high)

    inner = make_draw(settings, denoiser,
                      lambda params: diffusion.process_of(params[0]))
    draw = drawing.Draw(
        lambda params, key, index, cond=None: inner.last(
            (params, other), key, index, cond),
        lambda params, key, index, cond=None: inner.trajectory(
            (params, other), key, index, cond),
        lambda params: inner.times((params, other)))

    def functions(params: Params) -> Functions:

      def sample(
          key: Key, shape: Shape = (), cond: Cond | None = None
      ) -> Array:
        return drawing.sample(draw, params, key, shape, cond, classes)

      return model.functions(params)._replace(sample=sample)

    return model._replace(functions=functions,
                          parts=model.parts._replace(draw=draw))

  task = run.task._replace(build=functools.lru_cache(4)(build))
  settings = dataclasses.replace(
      run.settings, guidance=1.0, guidance_method='classifier_free')
  return Run(task, settings, run.params, run.step,
             **task.build(settings).functions(run.params)._asdict())
