"""Runs whose folder is on an object store, beside those on this machine."""

import json
import os
import time
import types

import chex
import pytest

from genjax import store
from genjax.runs import open_run
from genjax.runs import store_lock
from genjax.runs.fit import fit_run
from genjax.runs.lock import lock
from tests import stores
from tests.runs.gaussian import draw
from tests.runs.gaussian import KINDS
from tests.runs.gaussian import Settings
from tests.runs.gaussian import TASK

ONE = TASK._replace(loss=lambda settings, model: TASK.loss(
    settings, model)._replace(devices=1))


@pytest.fixture(name='place', params=stores.ALL)
def make_place(request, monkeypatch):
  """A store of fsspec, and the address of a run there."""
  with stores.opened(request.param, monkeypatch) as files:
    yield files, f'{request.param}://bucket/run'


@pytest.fixture(name='memory')
def make_memory(monkeypatch):
  with stores.opened('memory', monkeypatch) as files:
    yield files, 'memory://bucket/run'


def until(condition):
  """Waits for a condition, 10 s at most."""
  end = time.monotonic() + 10
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)


def weights_of(workdir):
  return [open_run(workdir, weights, kinds=KINDS).params
          for weights in ('raw', 'ema')]


def test_a_run_on_a_store_is_that_on_a_disk_bit_for_bit(place, tmp_path):
  """In parts, by copies that are made anew; what is sent opens as a folder."""
  files, url = place
  for steps in (7, 20):
    fit_run(ONE, Settings(steps=steps), draw(), url)
  fit_run(ONE, Settings(), draw(), str(tmp_path / 'local'))
  found = weights_of(url)
  chex.assert_trees_all_equal(found, weights_of(str(tmp_path / 'local')))
  assert not files.exists(f'{url}/lock')
  steps = {path.split('/checkpoints/')[1].split('/')[0]
           for path in files.find(f'{url}/checkpoints')}
  assert steps == set(os.listdir(tmp_path / 'local' / 'checkpoints'))
  lines = files.cat_file(f'{url}/metrics.jsonl').decode().splitlines()
  assert [json.loads(line)['step'] for line in lines] == [5, 7, 10, 15, 20]
  for path in files.find(url):
    there = tmp_path / 'got' / path.partition('bucket/run/')[2]
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(files.cat_file(path))
  chex.assert_trees_all_equal(weights_of(str(tmp_path / 'got')), found)


def test_each_checkpoint_is_on_the_store_before_the_next(memory, monkeypatch):
  """A run that is cut off goes on from what was sent."""
  files, url = memory
  sent = []
  push = store.push

  def watched(folder):
    push(folder)
    sent.append((os.path.basename(folder), files.exists(
        f'{url}/checkpoints/10/_CHECKPOINT_METADATA')))

  monkeypatch.setattr(store, 'push', watched)
  fit_run(ONE, Settings(), draw(), url)
  assert sent[:2] == [('checkpoints', True)] * 2


def test_a_run_at_work_is_refused_and_a_dead_one_taken_over(
    place, monkeypatch):
  files, url = place
  with store.at_hand('workdir', url) as folder:
    with lock(folder):
      with pytest.raises(ValueError, match=f'^workdir: {url} must be free: .*'
                         f'in use by process {os.getpid()} on .*, heard of . s '
                         'ago$'):
        fit_run(ONE, Settings(), draw(), url)
    assert not files.exists(f'{url}/lock')
  for left in (b'', b'{"pid": 1, "host": "a", "heard": 1.5}'):
    files.pipe_file(f'{url}/lock', left)
    with store.at_hand('workdir', url) as folder:
      with lock(folder):
        assert json.loads(files.cat_file(f'{url}/lock'))['pid'] == os.getpid()
  assert not files.exists(f'{url}/lock')


def test_a_bucket_that_is_not_there_is_one_line(memory):
  files, url = memory

  def absent(*args, **told):
    raise FileNotFoundError('bucket')

  with pytest.raises(OSError, match=f'^workdir: {url} must be a place that can '
                     'be written, got FileNotFoundError: bucket$'):
    with store.at_hand('workdir', url) as folder:
      store.find(folder)[0].files = types.SimpleNamespace(
          pipe_file=absent, find=files.find)
      with lock(folder):
        pass


def test_a_run_within_a_run_has_a_lock_of_its_own(memory):
  files, url = memory
  with store.at_hand('workdir', url) as folder:
    with lock(folder), lock(os.path.join(folder, 'classifier')):
      assert files.exists(f'{url}/classifier/lock')
    assert not files.exists(f'{url}/classifier/lock')


def test_who_was_taken_for_dead_sends_nothing_more(memory, monkeypatch):
  files, url = memory
  monkeypatch.setattr(store_lock, 'BEAT', 0.01)
  before = time.time()
  with pytest.raises(OSError, match=f'^workdir: {url}/ must be worked at by '
                     "one process, and was taken by process 1 on 'b' since"):
    with store.at_hand('workdir', url) as folder, lock(folder):
      until(lambda: json.loads(files.cat_file(f'{url}/lock'))['heard']
            > before + 0.02)  # it is heard of

      def taken():
        files.pipe_file(f'{url}/lock', json.dumps(
            {'id': 'other', 'host': 'b', 'pid': 1, 'start': '0'}).encode())
        return store.find(folder)[0].barred is not None

      until(taken)
      with open(os.path.join(folder, 'a'), 'w', encoding='utf8'):
        pass
  assert [path.split('/')[-1] for path in files.find(url)] == ['lock']
