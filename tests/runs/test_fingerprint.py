"""No wire is untested: whatever a setting may be, something depends on it.

One test for every kind of run: each field of its Settings, changed, changes the
fingerprint of the run (see `fingerprint`), but for those of a literal list.
"""

import dataclasses
import functools
import os
import tempfile
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.data import rows
from genjax.data.sources import ArraySource
from genjax.runs import classifier
from genjax.runs import density
from genjax.runs import diffusion
from genjax.runs import vae
from genjax.runs.settings import rules
from tests.runs import fingerprint
from tests.runs import gaussian

# Fields that decide nothing that training or a model does, and why.
UNSEEN = {
    'class_names': 'names for people; their number is the size of the network',
    'num_examples': 'a fact of the data, which are looked at themselves',
    'vector_names': 'names for people; numbers are told in their order',
    'cache': 'where pixels are read from, not what they are: see test_folder',
    'value_range': 'a fact of the data, which are scaled by it themselves',
    'value_type': 'a fact of the data, in which samples are written',
    'scored': 'samples that no step looks at: see reports/test_scoring',
    'init_id': 'a fact of the run that `init_from` names',
}

# Of any kind, other values than the default where the next one does not fit.
OTHER = {'profile_steps': '2:3', 'init_from': 'another run'}


class Kind(NamedTuple):
  """How the settings of one kind of run are changed."""

  task: Any
  data: Any  # of `fit_run`, or a function of the settings
  base: dict[str, Any] = {}  # small, so that tracing takes no time
  # field -> another value, where the next one does not fit.
  other: dict[str, Any] = {}
  # field -> settings under which it matters.
  where: dict[str, dict[str, Any]] = {}
  fitting: tuple[str, ...] = ()  # fields that data and model must agree on


@functools.cache
def _pictures():
  """Photographs in flat/ and by class; they end with the process.

  Their names begin with classes of another kind.
  """
  folder = tempfile.TemporaryDirectory()
  rows = []
  deep = os.path.join(folder.name, 'deep')
  for i, image in enumerate(embedded.patches(16, 16).arrays['image']):
    for name in 'ab':
      os.makedirs(os.path.join(deep, name), exist_ok=True)
    Image.fromarray(image[..., 0] * np.uint16(99)).save(
        os.path.join(deep, 'ab'[i % 2], f'{i}.png'))
    rows.append(f'{"xy"[i // 2 % 2]}{i}.png,{i}\n')
    for room in ('flat', f'classes/{"ab"[i % 2]}'):
      os.makedirs(os.path.join(folder.name, room), exist_ok=True)
      Image.fromarray(image).save(os.path.join(
          folder.name, room, f'{"xy"[i // 2 % 2]}{i}.png'))
  with open(os.path.join(folder.name, 'numbers.csv'), 'w') as file:
    file.writelines(['file,number\n', *rows])
  return folder


def open_data(settings):
  """The data that settings name, or a folder of photographs."""
  data = settings.data
  if data.startswith('folder:'):
    data = f'folder:{_pictures().name}/{data.partition(":")[2]}'
  return named.open_data(data, image_size=settings.image_size,
                         channels=settings.channels,
                         bits=getattr(settings, 'bits', 8),
                         held_out=settings.held_out, seed=settings.seed,
                         labels=settings.labels.replace(
                             'csv:', f'csv:{_pictures().name}/'))


def open_points(settings):
  """Some of the points that settings name, to train on and to test with."""
  points = rows.open_points(settings.data, settings.seed)
  return named.Data(*(ArraySource({'x': x[:64].astype('float32')})
                      for x in (points.train, points.test)))


_DIGITS = tuple('0123456789')
_FOLDER = {'data': 'folder:classes', 'image_size': (8,), 'shape': (8, 8, 3),
           'class_names': ('a', 'b')}
_IMAGES = {'network': 'unet', 'shape': (8, 8, 3), 'image_size': (8,),
           'data': 'folder:flat', 'class_names': ()}
_DEEP = {'data': 'folder:deep', 'image_size': (8,), 'shape': (8, 8, 1),
         'class_names': ('a', 'b')}
_DIT = {**_IMAGES, 'network': 'dit'}
_NUMBERS = {**_IMAGES, 'labels': 'csv:numbers.csv', 'vector_names': ('number',),
            'vector_mean': (7.5,), 'vector_std': (4.0,)}

KINDS = {
    'classifier': Kind(
        classifier.TASK, open_data,
        {'data': 'digits', 'width': (8,), 'features': 4, 'groups': 2,
         'class_names': _DIGITS, 'batch_size': 16},
        {'data': 'binarized_digits', 'micro_batches': 2, 'image_size': (16,),
         'channels': 1, 'bits': 16, 'batch_size': 32, 'held_out': 0.25,
         'groups': 4,
         'width': (16,), 'labels': 'prefix'},
        {'image_size': _FOLDER, 'channels': _FOLDER, 'held_out': _FOLDER,
         'labels': _FOLDER, 'bits': _DEEP,
         'activation': {'data': 'toy:moons,points=64', 'shape': (2,),
                        'class_names': ('0', '1'), 'shift': 0},
         'task': {'data': 'toy:moons,points=64', 'shape': (2,), 'shift': 0,
                  'class_names': ('0', '1')}},
        ('shape',)),
    'diffusion': Kind(
        diffusion.TASK, open_data,
        {'data': 'toy:moons,points=64', 'network': 'mlp', 'width': (8,),
         'shape': (2,), 'class_names': ('0', '1'), 'guidance': 1.0,
         'batch_size': 16, 'sampling_steps': 4},
        {'data': 'toy:spirals,points=64', 'image_size': (16,), 'channels': 1,
         'bits': 16,
         'width': (16,), 'ema_widths': (0.05,),
         'batch_size': 32, 'micro_batches': 2, 'network': 'dit', 'rho': 3.0,
         'attention_levels': (0,), 'groups': 4, 'head_dim': 4, 'patch_size': 4,
         'shape': (16, 16, 3), 'held_out': 0.25, 'labels': 'prefix'},
        {'image_size': _IMAGES, 'channels': _IMAGES, 'held_out': _IMAGES,
         'labels': _IMAGES, 'bits': {**_DEEP, 'network': 'unet'},
         'network': _IMAGES,
         'shape': _IMAGES, 'attention_levels': _IMAGES, 'groups': _IMAGES,
         'horizontal_flip': _IMAGES, 'crop': _IMAGES, 'augment': _IMAGES,
         'head_dim': _DIT, 'patch_size': _DIT,
         'guidance_log_snr': {'guidance': 2.0},
         'guidance_method': {'guidance': 2.0},
         **{f'guidance_{name}': {'guidance': 2.0, 'guidance_method': method}
            for name, method in (
                ('eta', 'projected'), ('limit', 'projected'),
                ('momentum', 'projected'), ('share', 'rescaled'),
                ('still', 'zero_star'))},
         'vector_mean': _NUMBERS, 'vector_std': _NUMBERS,
         'dequantise': {**_IMAGES, 'levels': 4},
         'levels': {**_IMAGES, 'dequantise': True, 'levels': 4},
         'log_snr_shift': {'process': 'flow_matching'},
         'eta': {'sampler': 'ddim'},
         'churn': {'sampler': 'heun'},
         'tau': {'sampler': 'dpm_solver_2m_sde'}}),
    'vae': Kind(
        vae.TASK, open_data,
        {'data': 'digits', 'width': (8,), 'latents': 3, 'batch_size': 16,
         'class_names': _DIGITS},
        {'data': 'binarized_digits', 'micro_batches': 2, 'batch_size': 32,
         'width': (16,), 'network': 'conv', 'held_out': 0.25, 'groups': 4,
         'importance_samples': 3, 'labels': 'prefix', 'ema_widths': (0.05,)},
        {'held_out': {**_FOLDER, 'network': 'conv'},
         'labels': {**_FOLDER, 'network': 'conv'},
         'groups': {'network': 'conv'}, 'components': {'prior': 'vamp'},
         'flow_layers': {'prior': 'flow'}, 'context': {'posterior': 'flow'},
         'importance_samples': {'objective': 'iwae'}},
        ('image_size', 'channels', 'shape')),
    'density': Kind(
        density.TASK, open_points, {'batch_size': 16},
        {'data': 'rings', 'batch_size': 32, 'micro_batches': 2,
         'base': (1.0, 0.0, 0.5, 1.0)},
        {'components': {'model': 'mixture'}, 'bins': {'model': 'histogram'},
         'base': {'model': 'energy'}},
        ('shape', 'tensor_parallel')),  # it is trained on one device
    'gaussian': Kind(gaussian.TASK, gaussian.draw(), {'begin': None},
                     {'shape': (1,), 'begin': (1.0, 2.0), 'batch_size': 16,
                      'micro_batches': 2, 'steps_per_call': 5}),
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
  names = [name for name in rules(row.task.Settings)
           if name not in (*UNSEEN, *row.fitting)]
  seen: dict[Any, dict[str, fingerprint.Part]] = {}

  def of(**settings):
    made = row.task.Settings(**{**row.base, **settings})
    if made not in seen:
      seen[made] = fingerprint.fingerprint(row.task, made, row.data)
    return seen[made]

  blind = []
  for name in names:
    rule, where = rules(row.task.Settings)[name], row.where.get(name, {})
    value = getattr(row.task.Settings(**{**row.base, **where}), name)
    other = {**OTHER, **row.other}
    changed = other[name] if name in other else another(rule, value)
    if not fingerprint.differ(of(**where), of(**{**where, name: changed})):
      blind.append(name)
  assert not blind, f'these settings change nothing: {blind}'


@pytest.mark.parametrize('kind', KINDS)
def test_a_fingerprint_is_of_the_settings_alone(kind):
  row = KINDS[kind]
  settings = row.task.Settings(**row.base)
  first, second = (fingerprint.fingerprint(
      row.task, dataclasses.replace(settings), row.data) for _ in range(2))
  assert not fingerprint.differ(first, second)


def test_few_fields_are_unseen():
  assert len(UNSEEN) <= 8
  for name in UNSEEN:
    assert any(name in rules(row.task.Settings) for row in KINDS.values()) or (
        name == 'num_examples')
