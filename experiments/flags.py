"""Flags that scripts share, and a flag for every setting of a kind of run."""

from typing import Any, Collection

from absl import flags
import numpy as np

from genjax.checks import check
from genjax.diffusion.named import SAMPLERS
from genjax.runs.open import open_run
from genjax.runs.settings import Rule
from genjax.runs.settings import rules
from genjax.runs.task import Run

# Settings that the data decide.
FACTS = ('shape', 'class_names', 'num_examples', 'data_std', 'vector_names',
         'vector_mean', 'vector_std', 'value_range', 'value_type', 'init_id')

# Settings of a diffusion run that flags of the same names say anew.
_OF_DRAWING = ('sampler', 'rho', 'eta', 'churn', 'tau', 'guidance')


def define_run(workdir: str, default: str | None = None) -> None:
  """Flags of every script; `workdir` says what the folder is for."""
  flags.DEFINE_string('workdir', default, workdir)
  if default is None:  # of a default absl warns
    flags.mark_flag_as_required('workdir')
  flags.register_validator('workdir', lambda v: v != '' and '://' not in f'{v}',
                           'must name a folder, where a bucket is mounted')
  flags.DEFINE_integer('seed', 0, 'Seed of everything that is drawn at random.',
                       lower_bound=0, upper_bound=2**31 - 1)


def define_settings(
    Settings: type, *, without: Collection[str] = FACTS
) -> None:
  """A flag for every setting; absent, it has the value of the recipe.

  A name that is a flag already, such as seed, is left as it is.
  """
  for name, rule in rules(Settings).items():
    if name not in without and name not in flags.FLAGS:
      _define(rule)


def _define(rule: Rule) -> None:
  name, said = rule.name, rule.help
  if rule.many:
    flags.DEFINE_list(name, None, said)
  elif rule.choices is not None:
    flags.DEFINE_enum(name, None, list(rule.choices), said)
  elif rule.kind is bool:
    flags.DEFINE_bool(name, None, said)
  elif rule.kind is int:
    flags.DEFINE_integer(name, None, said)
  elif rule.kind is float:
    flags.DEFINE_float(name, None, said)
  else:
    flags.DEFINE_string(name, None, said)


def chosen(Settings: type) -> dict[str, Any]:
  """The settings that flags give, by name.

  Raises:
    ValueError: a list that holds something else than what it is of. Ranges are
      checked with the settings.
  """
  found = {}
  for name, rule in rules(Settings).items():
    if name in flags.FLAGS and (value := flags.FLAGS[name].value) is not None:
      found[name] = tuple(_items(rule, value)) if rule.many else value
  return found


def _items(rule: Rule, words: Any) -> Any:
  if rule.kind is int:  # 32x64 is read like 32,64
    words = [part for word in words for part in word.split('x')]
  for word in words:
    try:
      yield rule.kind(word)
    except ValueError:
      what = 'whole numbers' if rule.kind is int else 'numbers'
      check(False, rule.name, f'must be {what} with commas between', repr(word))


def define_drawing() -> None:
  """Flags of scripts that draw from a run: which weights, and how."""
  flags.DEFINE_string('weights', 'ema', 'Parameters to draw with: raw, of the '
                      'last step; ema, their moving average; ema:0.07, one '
                      'of that width, of a run trained with --ema_widths.')
  flags.DEFINE_enum('sampler', None, list(SAMPLERS), 'Method by which a '
                    "diffusion run draws; the run's own where absent.")
  flags.DEFINE_integer('steps', None, 'Number of steps in which a diffusion '
                       "run draws a sample; the run's own where absent.", 2,
                       10**5)
  flags.DEFINE_float('rho', None, 'Power of the noise levels that a diffusion '
                     'run draws on, even in (noise over signal)^(1 / rho); the '
                     "run's own where absent.")
  flags.DEFINE_float('eta', None, 'Share of the noise, 0 to 1, that the '
                     'sampler ddim draws afresh in each step.')
  flags.DEFINE_float('churn', None, 'Noise that the sampler heun adds over all '
                     'steps (S_churn of EDM), 0 for none.')
  flags.DEFINE_float('tau', None, 'Scale of the noise of the samplers whose '
                     'name ends in sde, 0 for none.')
  flags.DEFINE_float('guidance', None, 'Scale of classifier-free guidance of a '
                     "diffusion run, 1 for none; the run's own where absent.",
                     lower_bound=0.0)


def opened() -> Run:
  """The run of --workdir, with the flags of `define_drawing`.

  Raises:
    ValueError: see `open_run`.
  """
  values = flags.FLAGS
  given = {'sampling_steps': values.steps, **{
      name: getattr(values, name) for name in _OF_DRAWING}}
  # Options of the run's own method are not another's.
  kept = () if values.sampler is None else ('eta', 'churn', 'tau')
  return open_run(values.workdir, values.weights, settings={
      name: value for name, value in given.items()
      if value is not None or name in kept})


def drawn_by(run: Run) -> dict[str, Any]:
  """What samples of the run of `opened` depend on, beside their number."""
  names, values = ('sampling_steps', *_OF_DRAWING), flags.FLAGS
  return {'workdir': values.workdir, 'step': run.step,
          'weights': values.weights, 'seed': values.seed,
          **{name: getattr(run.settings, name) for name in names
             if getattr(run.settings, name, None) is not None}}


def numbers(name: str, words: Any, num: int | None = None) -> list[float]:
  """The finite numbers of the flag `name`, `num` of them if that is known.

  Raises:
    ValueError: it holds anything else.
  """
  try:
    found = [float(word) for word in words]
  except ValueError:
    found = []
  check(bool(found) and len(found) == (num or len(found))
        and bool(np.all(np.isfinite(found))), name,
        ' '.join(f'must be {num or ""} numbers, like --{name}=0.5,0.5'.split()),
        repr(','.join(words)))
  return found
