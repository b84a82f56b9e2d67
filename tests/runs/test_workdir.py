import dataclasses
import json
import os
import pathlib

import numpy as np
from PIL import Image
import pytest

from genjax.data.folder import folder_source
from genjax.data.identity import identify
from genjax.data.sources import ArraySource
from genjax.files import read_json
from genjax.runs import diffusion
from genjax.runs import settings as run_settings
from genjax.runs import workdir as workdirs
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run
from genjax.runs.settings import run_id
from tests.runs.gaussian import draw
from tests.runs.gaussian import Settings
from tests.runs.gaussian import TASK

MINE = Settings(learning_rate=0.005, class_names=('a', '../b'))


@pytest.fixture(name='made')
def make_run(tmp_path):
  """A workdir that holds MINE, and its settings.json."""
  workdir = str(tmp_path / 'run')
  workdirs.create_or_check(workdir, 'gaussian', MINE)
  return workdir, os.path.join(workdir, 'settings.json')


def change(path, **values):
  record = {**json.loads(text_of(path)), **values}
  write(path, json.dumps({k: v for k, v in record.items() if v is not ...}))


def text_of(path):
  return pathlib.Path(path).read_text('utf8')


def write(path, text):
  pathlib.Path(path).write_text(text, 'utf8')


def opened(workdir):
  return workdirs.settings_of(workdirs.read(workdir), Settings)


def test_what_is_written_says_kind_version_run_and_every_field(made):
  workdir, path = made
  record = read_json(path)
  assert (record['kind'], record['version']) == (
      'gaussian', workdirs.VERSION)
  fields = {f.name for f in dataclasses.fields(Settings)}
  assert fields < record.keys()
  free = {'steps', 'micro_batches', 'parallel', 'tensor_parallel', 'log_every',
          'save_every', 'keep_every', 'profile_steps', 'steps_per_call'}
  assert set(record['free']) == free
  decides = {name: record[name] for name in fields - free}
  assert record['run'] == run_id(
      {'kind': 'gaussian', 'data_id': None, **decides})
  assert opened(workdir) == MINE
  assert os.path.isdir(os.path.join(workdir, 'figures'))


def test_the_same_run_goes_on_and_free_settings_change(made):
  workdir, path = made
  run = workdirs.read(workdir).run
  later = dataclasses.replace(MINE, steps=50, parallel='fsdp')
  assert workdirs.create_or_check(workdir, 'gaussian', later) == run
  assert opened(workdir) == later
  assert read_json(path)['run'] == run


@pytest.mark.parametrize('name, value', [
    ('learning_rate', 0.01), ('seed', 1), ('begin', (1.0, 2.0)),
    ('class_names', ('a', 'b'))])
def test_another_run_is_refused_by_what_differs(made, name, value):
  workdir, path = made
  before = text_of(path)
  with pytest.raises(ValueError, match=f'holds a run with {name}=') as error:
    workdirs.create_or_check(
        workdir, 'gaussian', dataclasses.replace(MINE, **{name: value}))
  assert f'{name}={getattr(MINE, name)!r}; take another' in str(error.value)
  assert repr(value) in str(error.value)
  assert text_of(path) == before


def test_another_kind_is_refused(made):
  with pytest.raises(ValueError, match='holds a run of kind gaussian.*got vae'):
    workdirs.create_or_check(made[0], 'vae', MINE)


def test_settings_out_of_range_make_no_folder(tmp_path):
  with pytest.raises(ValueError, match='^steps: must be'):
    workdirs.create_or_check(str(tmp_path / 'run'), 'gaussian',
                             dataclasses.replace(MINE, steps=0))
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize('workdir', ['', None])
def test_a_workdir_without_a_name_is_refused(workdir):
  for act in (lambda: workdirs.create_or_check(workdir, 'gaussian', MINE),
              lambda: workdirs.read(workdir)):
    with pytest.raises(ValueError, match='workdir: must name a folder'):
      act()


@pytest.mark.parametrize('text', [
    '3', 'null', '[]', '"x"', '{}', '', '{', '\x00', '[' * 100_000, 'NaN',
    '{"kind": 3}', '{"kind": "gaussian", "version": true, "run": ""}',
    '{"kind": "gaussian", "version": 1, "run": null}',
    '{"kind": "gaussian", "version": 1, "run": "", "free": 3}',
    '{"kind": "gaussian", "version": 1, "run": "", "free": [[]]}',
    '{"kind": "gaussian", "version": 1, "run": "", "data_id": 3}',
    '{"kind": "gaussian", "version": 1, "run": ""}',
    '{"kind": "gaussian", "version": 0, "run": ""}',
])
def test_a_file_that_is_none_is_refused_in_one_line(made, text):
  workdir, path = made
  write(path, text)
  with pytest.raises(ValueError) as error:
    opened(workdir)
  assert str(error.value).startswith(repr(path))
  assert len(str(error.value).splitlines()) == 1
  with pytest.raises(ValueError):
    workdirs.create_or_check(workdir, 'gaussian', MINE)


def test_bytes_that_are_no_text_and_a_folder_are_refused(made):
  workdir, path = made
  with open(path, 'wb') as file:
    file.write(b'\xff\xfe')
  with pytest.raises(ValueError, match='must hold JSON'):
    opened(workdir)
  os.remove(path)
  os.mkdir(path)
  with pytest.raises(ValueError, match='must be the folder of a run'):
    opened(workdir)


@pytest.mark.parametrize('name', [f.name for f in dataclasses.fields(Settings)])
def test_a_setting_of_another_type_is_refused_by_name(made, name):
  workdir, path = made
  change(path, **{name: {'a': 1}})
  with pytest.raises(ValueError, match=f"settings.json': {name} must be"):
    opened(workdir)


def test_a_deciding_setting_changed_by_hand_is_refused_and_a_free_one_not(made):
  workdir, path = made
  for name, value in {'learning_rate': 0.006, 'seed': 9, 'kind': 'gauss',
                      'run': '0' * 64, 'data_id': 'x', 'begin': ...,
                      'free': ['learning_rate']}.items():
    before = text_of(path)
    change(path, **{name: value})
    with pytest.raises(ValueError, match='as it was written'):
      opened(workdir)
    write(path, before)
  change(path, steps=99)
  assert opened(workdir).steps == 99


@pytest.mark.parametrize('name', ['checkpoints', 'snapshots', 'tensorboard'])
def test_a_file_in_the_place_of_a_folder_is_refused(name, tmp_path):
  (tmp_path / name).touch()
  with pytest.raises(ValueError, match=f'^workdir: .*/{name}. must be a folder'
                     ': remove it, got another kind of file$'):
    workdirs.check_same(str(tmp_path), 'gaussian', None)
  assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_newer_version_is_refused(made):
  change(made[1], version=workdirs.VERSION + 1)
  with pytest.raises(ValueError, match='a newer genjax.* got version '):
    opened(made[0])


def test_an_older_version_is_read_by_its_functions(made, monkeypatch):
  # Had the learning rate been said by its logarithm in this version.
  now = workdirs.VERSION
  monkeypatch.setattr(workdirs, 'VERSION', now + 1)
  monkeypatch.setattr(workdirs, 'UPGRADES', {now: lambda record: {
      **record, 'learning_rate': 10**record['learning_rate']}})
  assert opened(made[0]).learning_rate == 10**0.005
  same = dataclasses.replace(MINE, learning_rate=10**0.005, steps=77)
  before = text_of(made[1])
  run = workdirs.create_or_check(made[0], 'gaussian', same)
  assert run == json.loads(before)['run']
  assert text_of(made[1]) == before


@pytest.mark.parametrize('size, data, now, channels', [
    (None, 'digits', None, None), (16, 'folder:/x', [16], 3),
    (16, 'tfds:x', [16], None)])
def test_version_1_said_one_side_of_an_image(size, data, now, channels):
  found = workdirs.UPGRADES[1]({'image_size': size, 'data': data})
  assert (found['image_size'], found.get('channels')) == (now, channels)


def older(Old, drop):
  """Settings without one of their fields, as an older genjax had them."""
  kept = [(f.name, f.type, dataclasses.field(
      default=f.default, metadata=f.metadata))
          for f in dataclasses.fields(Old) if f.name != drop]
  return dataclasses.make_dataclass('Settings', kept, frozen=True)


@pytest.mark.parametrize('new', ['begin', 'log_every'])
def test_a_new_setting_orphans_no_run(tmp_path, new):
  workdir = str(tmp_path)
  run = workdirs.create_or_check(workdir, 'gaussian', older(Settings, new)())
  assert opened(workdir) == Settings()
  assert workdirs.create_or_check(workdir, 'gaussian', Settings()) == run
  assert opened(workdir) == Settings()
  other = Settings(**{new: {'begin': (0.0, 0.0), 'log_every': 7}[new]})
  if new == 'log_every':  # which is free
    assert workdirs.create_or_check(workdir, 'gaussian', other) == run
    assert opened(workdir) == other
  else:
    with pytest.raises(ValueError, match='holds a run with begin=None'):
      workdirs.create_or_check(workdir, 'gaussian', other)


def test_other_data_are_refused(tmp_path):
  x = np.zeros((3, 2), np.float32)
  before, after = (identify(ArraySource({'x': x + i})) for i in range(2))
  workdir = str(tmp_path)
  run = workdirs.create_or_check(workdir, 'gaussian', MINE, before)
  assert workdirs.create_or_check(workdir, 'gaussian', MINE, before) == run
  assert workdirs.create_or_check(workdir, 'gaussian', MINE) == run
  with pytest.raises(ValueError, match='other data.*got data that have'):
    workdirs.create_or_check(workdir, 'gaussian', MINE, after)
  other = str(tmp_path / 'other')
  assert workdirs.create_or_check(other, 'gaussian', MINE, after) != run


def test_a_changed_file_is_named_before_the_facts_that_changed_with_it(
    tmp_path):
  workdir, folder = str(tmp_path / 'run'), tmp_path / 'data'
  folder.mkdir()
  for name in ('a.png', 'b.png'):
    Image.new('L', (4, 4)).save(folder / name)

  def create_or_check(**chosen):
    now = identify(folder_source(folder, 4), workdirs.known_files(workdir))
    workdirs.create_or_check(workdir, 'diffusion', diffusion.Settings(
        **{'data': 'folder:x', 'data_std': 0.25, **chosen}), now)

  create_or_check()
  with pytest.raises(ValueError, match='holds a run with data_std=0.25'):
    create_or_check(data_std=0.5)
  Image.new('L', (4, 4), 9).save(folder / 'b.png')
  for chosen, said in (({}, "another 'b.png'"),
                       ({'data_std': 0.5}, "another 'b.png'"),
                       ({'data': 'folder:y'}, "'folder:y'"),
                       ({'labels': 'prefix'}, "'prefix'")):
    with pytest.raises(ValueError, match=f'got {said}$'):
      create_or_check(**chosen)


@pytest.mark.parametrize('files, said', [
    (None, "data without 'a.png'"),
    *((text, 'data that have changed') for text in (
        '3', '{"files": 3}', '{"files": {"a": 1}}',
        '{"files": {"a": ["x", 1, 2]}}', ''))])
def test_a_damaged_list_of_files_costs_only_the_name(tmp_path, files, said):
  workdir, folder = str(tmp_path / 'run'), str(tmp_path / 'data')
  os.mkdir(folder)
  for name in ('a.png', 'b.png'):
    Image.new('L', (4, 4)).save(os.path.join(folder, name))

  def create_or_check():
    now = identify(folder_source(folder, 4), workdirs.known_files(workdir))
    workdirs.create_or_check(workdir, 'gaussian', Settings(), now)

  create_or_check()
  if files is not None:
    write(os.path.join(workdir, 'data.json'), files)
  create_or_check()
  os.remove(os.path.join(folder, 'a.png'))
  with pytest.raises(ValueError, match=f'on other data: .* got {said}$'):
    create_or_check()


@pytest.mark.parametrize('name', [
    '', '.', 'settings.json', 'checkpoints', 'checkpoints/20', 'lock',
    'metrics.jsonl', 'tensorboard/a/b', 'figures/../settings.json'])
def test_output_that_would_harm_a_run_is_refused(made, tmp_path, name):
  os.symlink(made[0], tmp_path / 'link')
  for workdir in (made[0], str(tmp_path / 'link')):
    with pytest.raises(ValueError, match='^out: must not be the folder of'):
      workdirs.check_output(os.path.join(workdir, name))


@pytest.mark.parametrize('name', [
    'run/samples.npz', 'run/samples', 'run/figures/a.png', 'settings.json',
    'checkpoints', 'lock'])
def test_output_beside_a_run_is_not(made, tmp_path, name):
  workdirs.check_output(str(tmp_path / name))
  with pytest.raises(ValueError, match='^out: must name'):
    workdirs.check_output('')


@pytest.mark.parametrize('use', [
    lambda path: fit_run(TASK, Settings(), draw(), path), open_run,
    lambda path: workdirs.create_or_check(path, 'gaussian', Settings()),
    workdirs.check_output])
def test_a_folder_of_a_store_that_is_not_known_is_refused(
    tmp_path, monkeypatch, use):
  """Rather than made here, in a folder called az:."""
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match='^(workdir|out): must be a folder of '
                     "this machine[:,] .*, got 'az://bucket/run'$"):
    use('az://bucket/run')
  assert not os.listdir(tmp_path)


def test_no_setting_of_the_house_is_undeclared():
  assert run_settings.rules(Settings)
