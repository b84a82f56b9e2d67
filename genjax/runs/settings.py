"""Settings of a run: a frozen dataclass whose fields know what they may hold.

A kind of run declares each of its fields once, by `setting`: default, range,
help, and whether it may change while the run goes on. Flags, checks and reading
share that one declaration.
"""

import dataclasses
import hashlib
import json
import types
import typing
from typing import Any, Mapping, NamedTuple, Sequence, TypeVar

from genjax.checks import check

S = TypeVar('S')

# Names that settings.json keeps for itself.
RESERVED = ('kind', 'version', 'run', 'data_id', 'free')

_NOUNS = {int: ('a whole number', 'whole numbers'), float: ('a number',
          'numbers'), bool: ('true or false', 'true or false'),
          str: ('text', 'texts')}
_LENGTHS = (0, 4096)  # of texts and tuples that say nothing else


class Rule(NamedTuple):
  """What one field may hold."""

  name: str
  kind: type  # int, float, bool or str: of the items, where there are many
  many: bool  # whether it is a tuple
  optional: bool  # whether it may be None
  default: Any
  help: str  # a sentence that stands alone
  low: float | None  # the least number, itself allowed
  above: float | None  # or a number that all must be above
  high: float | None  # the largest number, itself allowed
  choices: tuple[str, ...] | None
  lengths: tuple[int, int]  # fewest and most characters, or items of a tuple
  distinct: bool  # whether all items must differ
  free: bool  # whether it may change while the run goes on


def setting(
    default: Any, *, help: str, low: float | None = None,
    above: float | None = None, high: float | None = None,
    choices: Sequence[str] | None = None,
    lengths: tuple[int, int] = _LENGTHS, distinct: bool = False,
    free: bool = False,
) -> Any:
  """A field of a Settings, declared with what it may hold; see `Rule`.

  Its annotation says the type: int, float, bool, str, a tuple of any number of
  one of these, such as tuple[int, ...], or `| None` after any of them. Numbers
  need `high`, and `low` or `above`.
  """
  return dataclasses.field(default=default, metadata={
      'help': help, 'low': low, 'above': above, 'high': high,
      'choices': None if choices is None else tuple(choices),
      'lengths': lengths, 'distinct': distinct, 'free': free})


def rules(Settings: type) -> Mapping[str, Rule]:
  """What each field of `Settings` may hold, in the order of their declaration.

  Raises:
    ValueError: a declaration that is none: a type that is not of `setting`'s,
      a number without bounds, a default out of its own range, or a name that
      settings.json keeps for itself.
  """
  hints = typing.get_type_hints(Settings)
  found = {}
  for field in dataclasses.fields(Settings):
    where = f'{Settings.__qualname__}.{field.name}'
    check('help' in field.metadata, where, 'must be declared by setting()',
          'a bare field')
    check(field.name not in RESERVED, where,
          f'must be another name than {", ".join(RESERVED)}', field.name)
    kind, many, optional = _parse(where, hints[field.name])
    rule = Rule(field.name, kind, many, optional, field.default,
                **field.metadata)
    if kind in (int, float):
      check(rule.high is not None and (rule.low, rule.above) != (None, None),
            where, 'must have high, and low or above', 'no bound')
    check(_fits(rule, rule.default), where, f'the default {_must(rule)}',
          repr(rule.default))
    found[field.name] = rule
  return found


def _parse(where: str, hint: Any) -> tuple[type, bool, bool]:
  """(type of the items, whether they are many, whether None is allowed)."""
  optional = many = False
  if typing.get_origin(hint) in (typing.Union, types.UnionType):
    parts = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    optional = len(parts) < len(typing.get_args(hint))
    hint = parts[0] if len(parts) == 1 else hint
  if typing.get_origin(hint) is tuple and typing.get_args(hint)[1:] == (...,):
    many, hint = True, typing.get_args(hint)[0]
  check(hint in _NOUNS, where, 'must be int, float, bool or str, a tuple[..., '
        '...] of one of them, or one of these | None', hint)
  return hint, many, optional


def check_settings(settings: Any) -> None:
  """Raises ValueError, one line that begins with the field, unless all fit."""
  for name, rule in rules(type(settings)).items():
    value = getattr(settings, name)
    check(_fits(rule, value), name, _must(rule), shown(value))


def to_json(settings: Any) -> dict[str, Any]:
  """name -> JSON value of every field of settings that fit."""
  return {name: _as_json(rule, getattr(settings, name))
          for name, rule in rules(type(settings)).items()}


def from_json(
    Settings: type[S], values: Mapping[str, Any], where: str = 'settings'
) -> S:
  """Settings of JSON values, each checked; what is absent has its default.

  Args:
    Settings: the dataclass.
    values: name -> JSON value.
    where: what the message begins with.

  Raises:
    ValueError: a name that is no field, another type, or out of range.
  """
  known, found = rules(Settings), {}
  for name, value in values.items():
    check(name in known, where, 'every name must be a setting of this version '
          f'of {Settings.__module__}', repr(name))
    rule = known[name]
    if isinstance(value, list):
      value = tuple(value)
    check(_fits(rule, value), where, f'{name} {_must(rule)}', shown(value))
    found[name] = _typed(rule, value)
  return Settings(**found)


def shown(value: Any) -> str:
  """A value for a message: one line of at most 200 characters."""
  text = repr(value)
  return text if len(text) <= 200 else f'{text[:200]}...'


def run_id(values: Mapping[str, Any]) -> str:
  """Identity of a run: sha256, in hexadecimal, of JSON values that decide it.

  Of their canonical form: names sorted, no spaces, ASCII.
  """
  text = json.dumps(values, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()


def _fits(rule: Rule, value: Any) -> bool:
  if value is None:
    return rule.optional
  if not rule.many:
    return _item_fits(rule, value) and (
        rule.kind is not str or _within(rule, len(value)))
  return (isinstance(value, tuple) and _within(rule, len(value))
          and all(_item_fits(rule, item) for item in value)
          and (not rule.distinct or len(set(value)) == len(value)))


def _within(rule: Rule, length: int) -> bool:
  return rule.lengths[0] <= length <= rule.lengths[1]


def _item_fits(rule: Rule, item: Any) -> bool:
  if rule.kind in (int, float):
    allowed = (int,) if rule.kind is int else (int, float)
    if isinstance(item, bool) or not isinstance(item, allowed):
      return False
    # Written so that a NaN fits nothing.
    return ((rule.low is None or item >= rule.low)
            and (rule.above is None or item > rule.above)
            and (rule.high is None or item <= rule.high))
  if not isinstance(item, rule.kind):
    return False
  return rule.choices is None or item in rule.choices


def _must(rule: Rule) -> str:
  """'must be a whole number in [1, 64]' and the like."""
  fewest, most = rule.lengths
  if rule.choices is not None:
    what = f'{"of" if rule.many else "one of"} {", ".join(rule.choices)}'
  else:
    what = _NOUNS[rule.kind][rule.many]
  if rule.above is not None:
    what += f' above {rule.above} and at most {rule.high}'
  elif rule.low is not None:
    what += f' in [{rule.low}, {rule.high}]'
  if rule.many:
    what = (f'{fewest} to {most} ' if fewest < most else f'{fewest} ') + (
        'different ' if rule.distinct else '') + what
  elif rule.kind is str and rule.lengths != _LENGTHS:
    what += f' of {fewest} to {most} characters'
  return f'must be {what}{" or null" if rule.optional else ""}'


def _typed(rule: Rule, value: Any) -> Any:
  """A value that fits, as the type that is declared: 1 may be a float."""
  if value is None:
    return None
  return (tuple(map(rule.kind, value)) if rule.many else rule.kind(value))


def _as_json(rule: Rule, value: Any) -> Any:
  value = _typed(rule, value)
  return list(value) if rule.many and value is not None else value
