"""Flags of scripts that draw from a run, and the run as they want it."""

from typing import Any, Collection

from absl import flags as absl_flags

from experiments import flags
from genjax.checks import check
from genjax.reports import draws
from genjax.runs import guides
from genjax.runs.diffusion_settings import Settings
from genjax.runs.open import open_run
from genjax.runs.settings import rules
from genjax.runs.task import Run

# Settings of a diffusion run that flags of the same names say anew; options of
# the run's own sampler are not another's.
_OF_SAMPLER = ('eta', 'churn', 'tau')
_OF_GUIDANCE = tuple(
    name for name in rules(Settings) if name.startswith('guidance'))
_OF_DRAWING = ('sampler', 'rho', *_OF_SAMPLER, *_OF_GUIDANCE)
# Those of guidance by the condition that guidance by another model lacks.
_OF_CONDITION = tuple(name for name in _OF_GUIDANCE if name not in (
    'guidance', 'guidance_log_snr'))
# Flag -> scale of that guidance where --guidance is absent.
_SCALES = {'weaker': 2.0, 'classifier': 1.0}


def define_flags() -> None:
  """Flags of scripts that draw from a run: which weights, and how."""
  absl_flags.DEFINE_string('weights', 'ema', 'Parameters to draw with: raw, of '
                           'the last step; ema, their moving average; '
                           'ema:0.07, one of that width, of a run trained with '
                           '--ema_widths.')
  absl_flags.DEFINE_integer('steps', None, 'Number of steps in which a '
                            'diffusion run draws a sample; the run\'s own '
                            'where absent.', 2, 10**5)
  absl_flags.DEFINE_string('weaker', None, 'Folder of a weaker diffusion run '
                           'of the same data, away from which samples are '
                           'guided by --guidance, 2 where that is absent '
                           '(autoguidance, arXiv:2406.02507).')
  absl_flags.DEFINE_integer('weaker_step', None, 'Step of the checkpoint of '
                            '--weaker that is meant, which may then be the run '
                            'itself; its last where absent.', 1)
  absl_flags.DEFINE_string('classifier', None, 'Folder of a classifier trained '
                           'by train_classifier --noise=50, by which samples '
                           'are guided to their classes by --guidance, 1 where '
                           'that is absent, in place of what the run itself '
                           'knows of them.')
  flags.define_anew(Settings, _OF_DRAWING)


def given() -> dict[str, Any]:
  """The settings that flags say anew, by name.

  Raises:
    ValueError: a list that holds something else than numbers.
  """
  values, chosen = absl_flags.FLAGS, flags.chosen(Settings)
  said = {'sampling_steps': values.steps, **{
      name: chosen.get(name) for name in _OF_DRAWING}}
  # Options of the run's own method are not another's.
  kept = () if values.sampler is None else _OF_SAMPLER
  return {name: value for name, value in said.items()
          if value is not None or name in kept}


def check_absent(names: Collection[str], beside: str) -> None:
  """Raises ValueError where a flag is given that means nothing beside another.
  """
  for name in names:
    value = absl_flags.FLAGS[name].value
    check(value is None, name, f'must be absent beside --{beside}', value)


def opened() -> tuple[Run, dict[str, Any]]:
  """The run of --workdir as the flags of `define_flags` want it.

  Returns:
    The run, guided by that of --weaker or --classifier if there is one; and
    what its samples depend on, beside their number and what they are told.

  Raises:
    ValueError: see `open_run`, `guides`; flags that mean nothing together.
  """
  values, said = absl_flags.FLAGS, given()
  check(values.weaker is not None or values.weaker_step is None, 'weaker_step',
        'must be absent without --weaker', values.weaker_step)
  named = {name: getattr(values, name) for name in _SCALES
           if getattr(values, name) is not None}
  if not named:
    run = open_run(values.workdir, values.weights, settings=said)
    return run, used(run, _OF_DRAWING)
  (guide, folder), *others = named.items()
  check_absent([*_OF_CONDITION, *(name for name, _ in others)], guide)
  scale = said.pop('guidance', _SCALES[guide])
  run = open_run(values.workdir, values.weights, settings=said)
  if guide == 'weaker':
    other = draws.opened(guide, folder, values.weights, values.weaker_step)
    run = guides.by_weaker(run, other, scale)
  else:
    other = draws.opened(guide, folder)
    run = guides.by_classifier(run, other, scale)
  names = [name for name in _OF_DRAWING if name not in _OF_CONDITION]
  return run, {**used(run, names), 'guidance': scale, guide: folder,
               f'{guide}_step': other.step}


def used(run: Run, names: Collection[str]) -> dict[str, Any]:
  """What samples depend on: of the settings the steps and those of `names`."""
  values = absl_flags.FLAGS
  return {'workdir': values.workdir, 'step': run.step,
          'weights': values.weights, 'seed': values.seed,
          **{name: getattr(run.settings, name)
             for name in ('sampling_steps', *names)
             if getattr(run.settings, name, None) is not None}}


def classes_of(run: Run) -> tuple[str, ...]:
  """Names of the classes that the run, or what guides it, is told."""
  return (draws.classes_of(run.settings) if absl_flags.FLAGS.classifier is None
          else run.settings.class_names)
