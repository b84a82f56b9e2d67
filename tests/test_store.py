"""What is sent to an object store, and in which order; what is fetched."""

import json
import os
import types

import jax
import pytest

from genjax import store
from tests import stores

LAST = '_CHECKPOINT_METADATA'


@pytest.fixture(name='place', params=stores.ALL)
def make_place(request, monkeypatch):
  """A store of fsspec, and the address of a run there."""
  with stores.opened(request.param, monkeypatch) as files:
    yield files, f'{request.param}://bucket/runs/one'


def held(place):
  """Every object of the run, by its path there."""
  files, url = place
  found = files.find(url)
  return {path.partition('runs/one/')[2]: files.cat_file(path)
          for path in found}


def write(folder, path, text='x'):
  path = os.path.join(folder, path)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with open(path, 'w', encoding='utf8') as file:
    file.write(text)


def read(folder):
  return {os.path.relpath(os.path.join(top, name), folder)
          for top, _, names in os.walk(folder) for name in names}


def write_step(folder, step, metric=None, kind='checkpoints'):
  for name in ('weights/a', 'training/a', LAST):
    write(folder, f'{kind}/{step}/{name}', f'{name} of {step}')
  if metric is not None:
    write(folder, f'{kind}/{step}/metrics/metrics',
          json.dumps({'metric': metric}))


def test_a_copy_is_sent_and_fetched(place):
  _, url = place
  with store.at_hand('workdir', url) as folder:
    assert os.path.basename(folder) == 'one' and not os.listdir(folder)
    write(folder, 'settings.json', '{}\r\n\n--')
    write(folder, 'figures/a b#ü.png')
    write(folder, 'figures/a.partial.png')
    write(folder, 'checkpoints/3.orbax-checkpoint-tmp/weights')
    assert store.shown(f'in {folder}/x') == f'in {url}/x'
  assert not os.path.exists(os.path.dirname(folder))
  assert held(place) == {'settings.json': b'{}\r\n\n--',
                         'figures/a b#ü.png': b'x'}
  with store.at_hand('workdir', url + '/') as folder:
    assert read(folder) == {'settings.json', 'figures/a b#ü.png'}
    os.remove(os.path.join(folder, 'figures/a b#ü.png'))
  assert set(held(place)) == {'settings.json'}


def test_only_what_has_changed_is_sent(place, monkeypatch):
  files, url = place
  with store.at_hand('workdir', url) as folder:
    write(folder, 'a')
    write(folder, 'b')
  sent = []
  send = store.Copy._send
  monkeypatch.setattr(store.Copy, '_send', lambda copy, path, state: (
      sent.append(path), send(copy, path, state)))
  with store.at_hand('workdir', url) as folder:
    write(folder, 'b', 'changed')
    # What another process has written meanwhile stays.
    files.pipe_file(f'{url}/a', b'other')
    store.push(folder)
    store.pull(folder)
    with open(os.path.join(folder, 'a'), encoding='utf8') as file:
      assert file.read() == 'other'
  assert sent == ['b'] and held(place) == {'a': b'other', 'b': b'changed'}


def test_the_latest_two_checkpoints_and_the_best_are_read(place):
  _, url = place
  with store.at_hand('workdir', url) as folder:
    for step, metric in ((5, 0.3), (10, 0.1), (15, 0.2), (20, None),
                         (100, float('nan'))):
      write_step(folder, step, metric)
    write_step(folder, 5, kind='snapshots')
    write(folder, 'checkpoints/frozen/a')
    write(folder, 'tensorboard/events')
  with store.at_hand('workdir', url) as folder:
    expected = {'checkpoints/frozen/a', 'checkpoints/10/metrics/metrics',
                'checkpoints/100/metrics/metrics'} | {
                    f'checkpoints/{step}/{name}' for step in (10, 20, 100)
                    for name in ('weights/a', LAST)}
    assert read(folder) == expected
    store.pull(folder, training=True)
    assert read(folder) == expected | {
        f'checkpoints/{step}/training/a' for step in (10, 20, 100)}
    store.pull(os.path.join(folder, 'snapshots'))
    assert 'snapshots/5/training/a' in read(folder)
  assert 'checkpoints/15/weights/a' in held(place)  # it was not looked at


def test_a_checkpoint_that_is_half_sent_is_not_read(place):
  files, url = place
  with store.at_hand('workdir', url) as folder:
    write_step(folder, 1)

  def broken(here, there):
    if there.endswith('2/weights/a'):
      raise ConnectionError('the net\nis down')
    files.put_file(here, there)

  with pytest.raises(OSError, match=f'^workdir: {url} must be a place that can '
                     'be written, got ConnectionError: the net is down$'):
    with store.at_hand('workdir', url) as folder:
      write_step(folder, 2)
      store.find(folder)[0].files = types.SimpleNamespace(
          put_file=broken, find=files.find)
  assert f'checkpoints/2/{LAST}' not in held(place)
  files.pipe_file(f'{url}/checkpoints/2/weights/left', b'')
  with store.at_hand('workdir', url) as folder:
    assert f'checkpoints/1/{LAST}' in read(folder)
    assert not any('checkpoints/2' in path for path in read(folder))
    write_step(folder, 2)
    store.push(os.path.join(folder, 'checkpoints'))
    assert f'checkpoints/2/{LAST}' in held(place)
    assert 'checkpoints/2/weights/left' not in held(place)


def test_a_folder_of_checkpoints_is_sent_without_the_others(place):
  _, url = place
  with store.at_hand('workdir', url) as folder:
    for kind in ('checkpoints', 'snapshots'):
      write_step(folder, 1, kind=kind)
    write(folder, 'metrics.jsonl')
    store.push(os.path.join(folder, 'snapshots'))
    assert not any('checkpoints' in path for path in held(place))
    assert {'metrics.jsonl', f'snapshots/1/{LAST}'} < set(held(place))


@pytest.mark.parametrize('place', ['memory'], indirect=True)
def test_only_the_first_process_sends(place, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  with store.at_hand('workdir', place[1]) as folder:
    write(folder, 'a')
  assert not held(place)


def test_an_address_that_is_none_is_refused_in_one_line(monkeypatch):
  monkeypatch.setattr(store, 'SCHEMES', {'gs': 'no_such_package'})
  for url, said in (('s3://bucket/run', 'or in a bucket, as gs://bucket/run'),
                    ('gs://bucket', 'must name a folder of the bucket'),
                    ('gs://bucket//', 'must name a folder of the bucket'),
                    ('gs://bucket/run', 'pip install no_such_package')):
    with pytest.raises(ValueError, match=f'^samples: .*{said}.*, got .*$'):
      with store.at_hand('samples', url):
        pass


def test_a_folder_of_this_machine_is_left_as_it_is(tmp_path):
  with store.at_hand('workdir', str(tmp_path)) as folder:
    assert folder == str(tmp_path)
    store.push(folder)
    store.pull(folder)
  assert store.find(folder) == (None, '') and not os.listdir(tmp_path)
