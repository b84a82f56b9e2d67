"""What is said of the classes that samples were asked for."""

import dataclasses
import json

import numpy as np
import pytest

from genjax.data import named
from genjax.data import sources
from genjax.reports import recognition
from genjax.runs.diffusion_settings import Settings

NAMES = ('dark', 'grey', 'light')
SETTINGS = Settings(
    data='folder:gone', shape=(4, 4, 1), class_names=NAMES, batch_size=32,
    steps=240)


def images(num, seed=0):
  """Of brightness by class, with noise: uint8 [N, 4, 4, 1], int [N]."""
  label = np.resize(np.arange(3), num)
  noise = np.random.default_rng(seed).integers(0, 60, (num, 4, 4, 1))
  return (90 * label[:, None, None, None] + noise).clip(0, 255).astype(
      np.uint8), label


def source(num, seed, chosen=slice(None)):
  image, label = images(num, seed)
  return sources.ArraySource({'image': image[chosen], 'label': label[chosen]},
                             NAMES)


# None of 'light' is held out.
DATA = named.Data(source(90, 1), source(60, 2, np.arange(60) % 3 < 2))


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
  """A workdir with a judge, and what was said."""
  workdir, said = str(tmp_path_factory.mktemp('kept')), []
  for _ in range(2):  # the second time it is there
    recognition.keep_judge(SETTINGS, DATA, workdir, said.append)
  return workdir, said


def test_a_judge_is_kept_with_what_it_is_worth(kept):
  workdir, (first, last) = kept
  assert 'for 60 steps' in first and 'recognises 100.0% of 40' in last
  with open(f'{workdir}/classifier/recognised.json', encoding='utf8') as file:
    assert json.load(file) == {'right': [20, 20, 0], 'held_out': [20, 20, 0]}


def test_a_model_that_ignores_its_classes_is_told_in_a_line(kept):
  """Of the same images, each asked for as what it is, or as any."""
  image, label = images(60)
  heeded = recognition.recognised(SETTINGS, kept[0], image, label)
  assert 'asked for in 100.0% of the samples' in heeded
  assert 'in 100.0% of real images' in heeded  # none of the third is held out
  assert heeded.endswith('by chance it would be 33.3%')
  shuffled = np.random.default_rng(3).permutation(label)
  ignored = recognition.recognised(SETTINGS, kept[0], image, shuffled)
  assert f'in {np.mean(shuffled == label):.1%} of the samples' in ignored
  assert ignored.endswith('33.3%: no more than chance, so the model '
                          'seems to ignore the classes')
  assert '\n' not in heeded + ignored


def test_samples_of_16_bits_are_judged_by_the_scale_of_the_data(kept):
  image, label = images(60)
  deep = dataclasses.replace(SETTINGS, value_range=(300.0, 5400.0),
                             value_type='uint16')
  assert recognition.recognised(
      deep, kept[0], 300 + 20 * image.astype(np.uint16), label) == (
          recognition.recognised(SETTINGS, kept[0], image, label))


def test_too_few_samples_or_a_class_alone_tell_less(kept):
  image, label = images(60)
  say = recognition.recognised
  assert say(SETTINGS, kept[0], image[:19], label[:19]) is None
  assert say(SETTINGS, kept[0], image[:20], label[:20]) is not None
  assert say(SETTINGS, kept[0], image, None) is None
  one = say(SETTINGS, kept[0], image, 0 * label)
  assert one.endswith('in 100.0% of real images') and ' 33.3% of the' in one
  unseen = say(SETTINGS, kept[0], image, 0 * label + 2)
  assert unseen.endswith('%)') and 'nan' not in unseen  # none is held out


@pytest.mark.parametrize('text', [
    '3', '{}', '{"right": [1, 2], "held_out": [1, 2]}',
    '{"right": [1, 2, -3], "held_out": [1, 2, 3]}', 'x'])
def test_a_damaged_record_is_refused_in_a_line(
    kept, text, tmp_path, monkeypatch):
  path = tmp_path / 'recognised.json'
  path.write_text(text)
  monkeypatch.setattr(recognition, '_path', lambda _: str(path))
  with pytest.raises(ValueError, match='recognised.json.:? must hold'):
    recognition.recognised(SETTINGS, kept[0], *images(60))


@pytest.mark.parametrize('settings, data', [
    ({'data': 'digits'}, {}), ({'conditional': False}, {}),
    ({'class_names': ('one',)}, {}), ({}, {'test': None})])
def test_no_judge_is_kept_of_what_it_could_not_judge(
    settings, data, tmp_path):
  kwargs = {**SETTINGS.__dict__, **settings}
  recognition.keep_judge(Settings(**kwargs), DATA._replace(**data),
                         str(tmp_path), print)
  assert not list(tmp_path.iterdir())
  assert recognition.recognised(
      SETTINGS, str(tmp_path), *images(60)) is None


def test_classes_that_real_images_do_not_show_are_not_blamed_on_the_model(
    kept, tmp_path, monkeypatch):
  """As where files were mixed over the classes before training."""
  (tmp_path / 'recognised.json').write_text(json.dumps(
      {'right': [7, 6, 8], 'held_out': [20, 20, 20]}))
  monkeypatch.setattr(recognition, '_path',
                      lambda _: str(tmp_path / 'recognised.json'))
  image, label = images(60)
  shuffled = np.random.default_rng(3).permutation(label)
  said = recognition.recognised(SETTINGS, kept[0], image, shuffled)
  assert 'in 35.0% of real images' in said
  assert said.endswith('33.3%, which real images do not surely pass either: '
                       'their classes do not show, or too few are held out')
