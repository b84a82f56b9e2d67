from concurrent import futures
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from genjax.runs.lock import lock

HOLD = """
import sys
from genjax.runs.lock import lock
with lock(sys.argv[1]):
  print('held', flush=True)
  sys.stdin.read()
"""


@pytest.fixture(name='other')
def start_other(tmp_path):
  """A process that holds the lock of tmp_path until its input ends."""
  process = subprocess.Popen(
      [sys.executable, '-c', HOLD, str(tmp_path)], stdin=subprocess.PIPE,
      stdout=subprocess.PIPE, text=True)
  assert process.stdout.readline() == 'held\n'
  yield process
  process.kill()
  process.communicate()


def held(tmp_path):
  with open(tmp_path / 'lock', encoding='utf8') as file:
    return json.load(file)


def write(tmp_path, **values):
  with open(tmp_path / 'lock', 'w', encoding='utf8') as file:
    json.dump({'host': socket.gethostname(), 'pid': os.getpid(), 'start': '0',
               **values}, file)


def test_a_second_process_is_refused_by_host_and_pid(tmp_path, other):
  with pytest.raises(ValueError, match=f'in use by process {other.pid} on '
                     f"'{socket.gethostname()}' since 20[0-9T:+-]*$"):
    with lock(str(tmp_path)):
      pass
  assert held(tmp_path)['pid'] == other.pid
  other.communicate('')
  with lock(str(tmp_path)):
    assert held(tmp_path)['pid'] == os.getpid()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path, other):
  other.kill()  # and not waited for: a zombie does not live
  os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
  with lock(str(tmp_path)):
    assert held(tmp_path)['pid'] == os.getpid()


def test_the_lock_of_another_process_of_the_same_number_is_taken_over(tmp_path):
  write(tmp_path, start='1')
  with lock(str(tmp_path)):
    assert held(tmp_path)['start'] != '1'


@pytest.mark.parametrize('text', ['', '{', '3', '{"host": 3}', '[' * 10**5])
def test_a_damaged_lock_is_taken_over(tmp_path, text):
  (tmp_path / 'lock').write_text(text)
  with lock(str(tmp_path)):
    assert held(tmp_path)['pid'] == os.getpid()


def test_what_another_host_left_is_taken_over_by_name(tmp_path, caplog):
  """The kernel says whether it is held there, the file does not."""
  write(tmp_path, host='elsewhere', pid=7)
  with lock(str(tmp_path)):
    assert held(tmp_path)['host'] == socket.gethostname()
  assert "from process 7 on 'elsewhere' since 0, which did not" in caplog.text


def test_a_file_system_without_locks_is_said_and_used(
    tmp_path, monkeypatch, caplog):

  def no_locks(file, how):
    raise OSError(errno.ENOTSUP, 'Operation not supported')

  monkeypatch.setattr(fcntl, 'flock', no_locks)
  with lock(str(tmp_path)):
    assert held(tmp_path)['pid'] == os.getpid()
  assert len(caplog.messages) == 1
  assert f'{tmp_path}: its file system has no locks' in caplog.text
  assert not os.listdir(tmp_path)


def test_a_file_that_its_holder_removes_meanwhile_is_no_lock(
    tmp_path, monkeypatch):
  flock, removed = fcntl.flock, []

  def late(file, how):
    if not removed:  # between the opening of the file and its locking
      removed.append(os.remove(tmp_path / 'lock'))
    flock(file, how)

  monkeypatch.setattr(fcntl, 'flock', late)
  with lock(str(tmp_path)):
    assert held(tmp_path)['pid'] == os.getpid()
  assert removed and not os.listdir(tmp_path)


def test_of_many_at_once_one_works_at_a_time(tmp_path):
  """Each takes, lets go of and removes one file, over and over."""
  inside, most, won = [], [], []

  def work(number):
    for _ in range(200):
      try:
        with lock(str(tmp_path)):
          inside.append(number)
          most.append(len(inside))
          time.sleep(0)  # the others may look
          inside.remove(number)
          won.append(number)
      except ValueError as error:
        assert 'must be free' in str(error)

  with futures.ThreadPoolExecutor(4) as pool:
    list(pool.map(work, range(4)))
  assert max(most) == 1 and len(won) > 4
  assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(OSError):
    with lock(str(tmp_path / 'file' / 'run')):
      pass
  (tmp_path / 'run' / 'lock').mkdir(parents=True)
  with pytest.raises(OSError):
    with lock(str(tmp_path / 'run')):
      pass


def test_it_is_not_held_twice_by_one_process_either(tmp_path):
  with lock(str(tmp_path)):
    with pytest.raises(ValueError, match=f'process {os.getpid()} on'):
      with lock(str(tmp_path)):
        pass
    assert held(tmp_path)


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt, SystemExit])
def test_it_is_released_whatever_happens(tmp_path, error):
  with pytest.raises(error):
    with lock(str(tmp_path / 'a' / 'run')):
      (tmp_path / 'a' / 'run' / 'kept').touch()
      raise error
  assert os.listdir(tmp_path / 'a' / 'run') == ['kept']


def test_a_folder_made_for_nothing_is_removed(tmp_path):
  with lock(str(tmp_path / 'new')):
    assert os.listdir(tmp_path / 'new') == ['lock']
  assert not os.listdir(tmp_path)
  with lock(str(tmp_path)):
    pass
  assert tmp_path.is_dir()


def test_a_folder_without_a_name_is_refused():
  with pytest.raises(ValueError, match='must name a folder'):
    with lock(''):
      pass
