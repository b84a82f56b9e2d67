import dataclasses
import functools
import json
import math

from hypothesis import given
from hypothesis import strategies
import pytest

from genjax.runs import fields
from genjax.runs.settings import check_settings
from genjax.runs.settings import from_json
from genjax.runs.settings import rules
from genjax.runs.settings import run_id
from genjax.runs.settings import setting
from genjax.runs.settings import to_json


@dataclasses.dataclass(frozen=True)
class Settings:
  """One field of every type."""

  steps: int = setting(10, low=1, high=100, free=True, help='Steps.')
  rate: float = setting(0.5, above=0.0, high=1.0, help='Rate.')
  flip: bool = setting(False, help='Whether.')
  data: str = setting('digits', lengths=(1, 8), help='Data.')
  network: str = setting('mlp', choices=('mlp', 'unet'), help='Network.')
  width: tuple[int, ...] = setting((8,), low=1, high=64, lengths=(1, 3),
                                   help='Width.')
  interval: tuple[float, ...] = setting((-1.0, 1.0), low=-4.0, high=4.0,
                                        lengths=(2, 2), help='Interval.')
  names: tuple[str, ...] = setting((), distinct=True, help='Names.')
  size: int | None = setting(None, low=1, high=9, help='Size.')
  levels: tuple[int, ...] | None = setting(None, low=0, high=9, help='Levels.')


OTHER = Settings(steps=7, rate=1.0, flip=True, data='toy', network='unet',
                 width=(1, 64, 3), interval=(0.0, 0.1), names=('a', 'b/'),
                 size=3, levels=())

# name -> JSON values that it must refuse.
WRONG = {
    'steps': (0, 101, 1.0, '7', True, None, [7], 10**400, math.nan),
    'rate': (0, 0.0, 1.1, -1, '0.5', None, False, math.nan, math.inf, 10**400),
    'flip': (0, 1, 'true', None),
    'data': ('', 'x' * 9, 3, None, ['digits']),
    'network': ('MLP', '', 0, None),
    'width': ([], [0], [65], [1.0], ['8'], [1, 2, 3, 4], 8, None, '8', {}),
    'interval': ([0.0], [0.0, 5.0], [0.0, None], [1, True]),
    'names': (['a', 'a'], [1], 'ab', None),
    'size': (0, 10, '3', 3.0),
    'levels': ([10], 3, [None]),
}


def values_of(rule):
  """Everything that a rule allows, by its declaration alone."""
  if rule.choices is not None:
    items = strategies.sampled_from(rule.choices)
  elif rule.kind is bool:
    items = strategies.booleans()
  elif rule.kind is int:
    items = strategies.integers(rule.low, rule.high)
  elif rule.kind is float:
    low = rule.low if rule.above is None else rule.above
    items = strategies.floats(low, rule.high,
                              exclude_min=rule.above is not None)
  else:
    fewest, most = (0, 20) if rule.many else rule.lengths
    items = strategies.text(min_size=fewest, max_size=most)
  if rule.many:
    fewest, most = rule.lengths
    items = strategies.lists(items, min_size=fewest, max_size=min(most, 9),
                             unique=rule.distinct).map(tuple)
  return strategies.none() | items if rule.optional else items


@given(strategies.fixed_dictionaries({
    name: values_of(rule) for name, rule in rules(Settings).items()}))
def test_all_that_a_declaration_allows_comes_back_from_json(values):
  settings = Settings(**values)
  check_settings(settings)
  text = json.dumps(to_json(settings), allow_nan=False)
  back = from_json(Settings, json.loads(text))
  assert back == settings
  assert run_id(to_json(back)) == run_id(to_json(settings))


@pytest.mark.parametrize('settings', [Settings(), OTHER], ids=['own', 'other'])
def test_json_round_trip_is_exact(settings):
  check_settings(settings)
  text = json.dumps(to_json(settings), allow_nan=False)
  assert from_json(Settings, json.loads(text)) == settings


@pytest.mark.parametrize('name', WRONG)
def test_what_does_not_fit_is_refused_by_name_in_one_line(name):
  for value in WRONG[name]:
    with pytest.raises(ValueError, match=f'^file: {name} must be ') as error:
      from_json(Settings, {name: value}, 'file')
    assert '\n' not in str(error.value)
    given = tuple(value) if isinstance(value, list) else value
    with pytest.raises(ValueError, match=f'^{name}: must be .*, got ') as error:
      check_settings(dataclasses.replace(Settings(), **{name: given}))
    assert '\n' not in str(error.value)


def test_bounds_are_allowed_and_nothing_beyond():
  for name, values in {'steps': (1, 100), 'rate': (1e-300, 1), 'size': (1, 9),
                       'interval': ([-4, 4.0],)}.items():
    for value in values:
      check_settings(from_json(Settings, {name: value}))


def test_numbers_are_typed_as_declared():
  settings = from_json(Settings, {'rate': 1, 'interval': [0, 1]})
  assert type(settings.rate) is float
  assert {type(x) for x in settings.interval} == {float}
  assert to_json(dataclasses.replace(settings, rate=1)) == to_json(settings)


def test_what_is_absent_has_its_default_and_what_is_unknown_is_refused():
  assert from_json(Settings, {'steps': 3}) == Settings(steps=3)
  with pytest.raises(ValueError, match="^file: .*got 'stps'$"):
    from_json(Settings, {'stps': 3}, 'file')


def test_run_id_knows_values_not_their_order():
  assert run_id({'a': 1, 'b': [2.5, 'x']}) == run_id({'b': [2.5, 'x'], 'a': 1})
  # sha256sum of {"a":1,"b":[2.5,"x"]}
  assert run_id({'b': [2.5, 'x'], 'a': 1}) == SHA
  others = [{'a': 1}, {'a': 1.0}, {'a': '1'}, {'a': True}, {'a': [1]},
            {'b': 1}, {'a': None}]
  assert len({run_id(values) for values in others}) == len(others)


SHA = '5f097a2417b218fb6b0f143c2f2d4010731048db11200c7583048f684fc30222'


@pytest.mark.parametrize('hint, field', [
    (int, setting(1, help='x')),
    (int, setting(1, low=0, help='x')),
    (float, setting(1.0, high=2.0, help='x')),
    (int, setting(3, low=0, high=2, help='x')),
    (str, setting('c', choices=('a', 'b'), help='x')),
    (list[int], setting((), low=0, high=2, help='x')),
    (tuple[int, int], setting((1, 1), low=0, high=2, help='x')),
    (int | str, setting(1, low=0, high=2, help='x')),
    (dict, setting(None, help='x')),
    (int, dataclasses.field(default=1)),
])
def test_a_declaration_that_says_too_little_is_refused(hint, field):
  wrong = dataclasses.make_dataclass('Wrong', [('x', hint, field)], frozen=True)
  with pytest.raises(ValueError, match='^Wrong.x: '):
    rules(wrong)


def test_fields_of_many_kinds_say_what_they_may_hold():
  default = {'data': 'digits', 'width': (8,), 'shape': (2,), 'dropout': 0.1,
             'learning_rate': 1e-3, 'b2': 0.99, 'weight_decay': 0.1,
             'ema_decay': 0.9, 'bits': 8}
  hints = {'data': str, 'parallel': str, 'image_size': tuple[int, ...] | None,
           'channels': int | None, 'bits': int | None,
           'held_out': float | None,
           'labels': str, 'dtype': str, 'init_from': str | None,
           'profile_steps': str | None,
           'init_id': str | None, 'ema_widths': tuple[float, ...],
           'conditional': bool, 'width': tuple[int, ...],
           'shape': tuple[int, ...], 'class_names': tuple[str, ...],
           **dict.fromkeys(('cache', 'learning_rate', 'b2',
                            'weight_decay', 'ema_decay', 'dropout',
                            'data_std'), float)}
  made = []
  for name, make in vars(fields).items():
    if isinstance(make, functools.partial):
      needs = () if make.args else (default.get(name, 3),)
      made.append((name, hints.get(name, int), make(*needs)))
  found = rules(dataclasses.make_dataclass('Many', made, frozen=True))
  assert len(found) > 20
  for rule in found.values():
    assert rule.help[0].isupper() and rule.help.endswith('.')


def test_names_of_the_file_are_kept_for_it():
  wrong = dataclasses.make_dataclass('Wrong', [
      ('run', bool, setting(True, help='x'))])
  with pytest.raises(ValueError, match='must be another name'):
    rules(wrong)
