"""The data of a discriminative run, and the settings that go with them."""

from typing import Any, Mapping

from genjax.checks import check
from genjax.data import named
from genjax.data import toy
from genjax.runs import data as run_data
from genjax.runs.classifier import RECIPES
from genjax.runs.classifier import Settings
from genjax.runs.settings import check_settings

_POINTS = 1000  # of a toy set, and as many to test with

# Settings that only some networks or tasks have.
_OF_IMAGES = ('features', 'groups', 'dropout', 'shift')
_OF_POINTS = ('activation',)
_OF_CLASSES = ('label_smoothing', 'mixup')


def open_data(chosen: Mapping[str, Any]) -> named.Data:
  """The data that some settings, by name, say.

  Raises:
    ValueError: settings out of range, or data that cannot be read.
  """
  regression = chosen.get('task') == 'regression'
  settings = Settings(**{**RECIPES['curve' if regression else 'images'],
                         'bits': None, **chosen})
  check_settings(settings)
  kind, _, argument = settings.data.partition(':')
  if kind != 'toy':
    check(not regression, 'data', 'must be a toy set for a regression',
          settings.data)
    return run_data.open_data(settings)
  for name in ('image_size', 'channels', 'bits', 'held_out'):
    check(not chosen.get(name), name, 'must be absent for a toy set',
          chosen.get(name))
  check(settings.labels == 'folders', 'labels', 'must be absent for a toy set',
        settings.labels)
  return named.open_points(argument, named.CURVES if regression else toy.SETS,
                           _POINTS, settings.seed)


def settings_for(data: named.Data, chosen: Mapping[str, Any]) -> Settings:
  """The recipe for data, with what is chosen and what the data decide.

  Raises:
    ValueError: settings out of range, or that the data have no use for.
  """
  described = data.description
  regression = chosen.get('task') == 'regression'
  flat = len(described.shape) == 1
  for names, right, of in (
      (_OF_IMAGES, not flat, 'points'), (_OF_POINTS, flat, 'images'),
      (_OF_CLASSES, not regression, 'a regression')):
    for name in names:
      check(right or name not in chosen, name, f'must be absent for {of}',
            chosen.get(name))
  settings = Settings(**{
      **RECIPES['curve' if regression else 'points' if flat else 'images'],
      **chosen, 'shape': tuple(described.shape),
      'channels': run_data.channels_of(chosen.get('data', ''), described.shape),
      'bits': run_data.bits_of(chosen.get('data', ''), data.scale),
      'class_names': described.class_names, 'num_examples': described.size})
  check_settings(settings)
  check(regression or bool(described.class_names), 'data',
        'must have classes (sub-folders of a folder)', repr(settings.data))
  return settings
