"""Flags that scripts share, and a flag for every setting of a kind of run."""

from typing import Any, Collection

from absl import flags
import numpy as np

from experiments import processes
from genjax.checks import check
from genjax.runs.settings import Rule
from genjax.runs.settings import rules

# Settings that the data decide.
FACTS = ('shape', 'class_names', 'num_examples', 'data_std', 'vector_names',
         'vector_mean', 'vector_std', 'value_range', 'value_type', 'init_id')


def define_run(workdir: str, default: str | None = None) -> None:
  """Flags of every script; `workdir` says what the folder is for."""
  flags.DEFINE_string('workdir', default, workdir)
  if default is None:  # of a default absl warns
    flags.mark_flag_as_required('workdir')
  flags.register_validator('workdir', lambda v: v != '',
                           'must name a folder')
  flags.DEFINE_integer('seed', 0, 'Seed of everything that is drawn at random.',
                       lower_bound=0, upper_bound=2**31 - 1)
  processes.define_flags()


def define_settings(
    Settings: type, *, without: Collection[str] = FACTS
) -> None:
  """A flag for every setting; absent, it has the value of the recipe.

  A name that is a flag already, such as seed, is left as it is.
  """
  for name, rule in rules(Settings).items():
    if name not in without and name not in flags.FLAGS:
      _define(rule)


def define_anew(Settings: type, names: Collection[str]) -> None:
  """A flag for each of these settings of a run; absent, it is the run's own.
  """
  for name in names:
    rule = rules(Settings)[name]
    said = rule.help.removesuffix('.').partition('; absent, ')[0]
    _define(rule._replace(help=f"{said}; the run's own where absent."))


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
