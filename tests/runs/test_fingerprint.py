"""No wire is untested: whatever a setting may be, something depends on it.

One test for every kind of run: each field of its Settings, changed, changes the
fingerprint of the run (see `fingerprint`), but for those of a literal list.
"""

import dataclasses
from typing import Any, NamedTuple

import pytest

from genjax.runs.settings import rules
from tests.runs import fingerprint
from tests.runs import gaussian

# Fields that decide nothing that training or a model does, and why.
UNSEEN = {
    'class_names': 'names for people; their number is the size of the network',
    'num_examples': 'a fact of the data, which are looked at themselves',
}


class Kind(NamedTuple):
  """How the settings of one kind of run are changed."""

  task: Any
  data: Any  # of `fit_run`, or a function of the settings
  base: dict[str, Any] = {}  # small, so that tracing takes no time
  # field -> another value, where the next one does not fit.
  other: dict[str, Any] = {}
  # field -> settings under which it matters.
  where: dict[str, dict[str, Any]] = {}


KINDS = {
    'gaussian': Kind(gaussian.TASK, gaussian.draw(), {'begin': None},
                     {'shape': (1,), 'begin': (1.0, 2.0), 'batch_size': 16,
                      'micro_batches': 2}),
}


def another(rule: Any, value: Any) -> Any:
  """A value that the rule allows, and that is not `value`."""
  if rule.many:
    return (*value[:-1], _item(rule, value[-1])) if value else (
        _item(rule, rule.low),)
  return _item(rule, value)


def _item(rule: Any, value: Any) -> Any:
  if rule.choices is not None:
    return next(c for c in rule.choices if c != value)
  if rule.kind is bool:
    return not value
  if rule.kind is int:
    return value + 1 if value < rule.high else value - 1
  if rule.kind is float:
    return value / 2 if value else min(rule.high, 0.25)
  return f'{value}x'


@pytest.mark.parametrize('kind', KINDS)
def test_every_setting_decides_something(kind):
  row = KINDS[kind]
  names = [name for name in rules(row.task.Settings) if name not in UNSEEN]
  seen: dict[Any, dict[str, str]] = {}

  def of(**settings):
    made = row.task.Settings(**{**row.base, **settings})
    if made not in seen:
      seen[made] = fingerprint.fingerprint(row.task, made, row.data)
    return seen[made]

  blind = []
  for name in names:
    rule, where = rules(row.task.Settings)[name], row.where.get(name, {})
    value = getattr(row.task.Settings(**{**row.base, **where}), name)
    changed = row.other.get(name, another(rule, value) if (
        name not in row.other) else None)
    if of(**where) == of(**{**where, name: changed}):
      blind.append(name)
  assert not blind, f'these settings change nothing: {blind}'


@pytest.mark.parametrize('kind', KINDS)
def test_a_fingerprint_is_of_the_settings_alone(kind):
  row = KINDS[kind]
  settings = row.task.Settings(**row.base)
  first, second = (fingerprint.fingerprint(
      row.task, dataclasses.replace(settings), row.data) for _ in range(2))
  assert first == second


def test_few_fields_are_unseen():
  assert len(UNSEEN) <= 8
  for name in UNSEEN:
    assert any(name in rules(row.task.Settings) for row in KINDS.values()) or (
        name == 'num_examples')
