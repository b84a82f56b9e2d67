"""Scripts in several processes: the same run, and one line where one ends."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import NamedTuple

import jax
import numpy as np
import pytest

from experiments import train_diffusion
from genjax.files import read_json
from genjax.runs import open_run
from genjax.training.logs import read_metrics
from tests.environment import environment

TOY = ('--preset=toy', '--data=toy:moons,points=64', '--width=8', '--depth=1',
       '--batch_size=8', '--log_every=1', '--sampling_steps=2')
LOST = ('train_diffusion: another of the processes did not start or ended '
        'before its time: start all of them again, and the same command goes '
        'on\n')


class Ended(NamedTuple):
  """What a process left behind."""

  code: int
  out: str
  err: str


def begun(cache, number, script, *flags, devices=1, own=None):
  """So many processes that run a script as one, each with so many devices."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    port = free.getsockname()[1]
  own_environment = environment(devices=devices,
                                JAX_COMPILATION_CACHE_DIR=str(cache))
  return [subprocess.Popen(
      [sys.executable, '-m', f'experiments.{script}', *map(str, flags),
       f'--coordinator=localhost:{port}', f'--num_processes={number}',
       f'--process_id={i}', *(own[i] if own else ())], env=own_environment,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
          for i in range(number)]


def ended(processes):
  """What they left, once all are at their end."""
  found = []
  for process in processes:
    out, err = process.communicate(timeout=400)
    found.append(Ended(process.returncode, out, err))
  return found


def together(*args, **how):
  return ended(begun(*args, **how))


def digests(workdir, step):
  """sha256 of each array of a checkpoint."""
  return read_json(f'{workdir}/checkpoints/{step}/meta/metadata')['parts']


def scalars(workdir):
  """The lines of the logs, without what tells of time."""
  return [{name: value for name, value in record.items()
           if not re.search('per_second|data_share|flop|utilisation', name)
           and value is not None}
          for record in read_metrics(f'{workdir}/metrics.jsonl')]


def check_same_run(workdir, other):
  """Losses to 1e-5 and samples to 1e-4 of those of another run."""
  rows, same = scalars(workdir), scalars(other)
  assert [row.keys() for row in rows] == [row.keys() for row in same]
  for row, wanted in zip(rows, same):
    for name, value in wanted.items():
      assert row[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
  np.testing.assert_allclose(*(open_run(str(path)).sample(
      jax.random.key(0), (4,)) for path in (workdir, other)), atol=1e-4)


def _alone(run, workdir, *flags):
  one = run(train_diffusion, f'--workdir={workdir}', *TOY, *flags)
  assert one.code == 0, one.err
  return workdir


@pytest.fixture(scope='module')
def alone(run, one_device, tmp_path_factory):
  """A run of this process, on one device."""
  return _alone(run, tmp_path_factory.mktemp('processes') / 'alone',
                '--steps=6', '--save_every=3')


@pytest.fixture(scope='module')
def long(run, one_device, tmp_path_factory):
  """A longer one."""
  return _alone(run, tmp_path_factory.mktemp('processes') / 'long',
                '--steps=20', '--save_every=10')


def test_two_processes_are_one_run(cache, alone, tmp_path):
  flags = ('train_diffusion', f'--workdir={tmp_path}/run', *TOY, '--steps=6',
           '--save_every=3')
  first, second = together(cache, 2, *flags)
  assert (first.code, second.code) == (0, 0), first.err + second.err
  assert first.out.startswith('finished: ') and first.out.count('\n') == 1
  assert 'Gloo' not in first.out + first.err
  assert (second.out, second.err) == ('', '')
  check_same_run(tmp_path / 'run', alone)


@pytest.mark.slow
def test_two_processes_go_on_bit_for_bit(cache, tmp_path):
  flags = ('train_diffusion', f'--workdir={tmp_path}/run', *TOY, '--steps=6',
           '--save_every=3')
  assert [one.code for one in together(cache, 2, *flags)] == [0, 0]
  whole = digests(tmp_path / 'run', 6)
  os.rename(tmp_path / 'run/checkpoints/6', tmp_path / 'gone')
  assert [one.code for one in together(cache, 2, *flags)] == [0, 0]
  assert digests(tmp_path / 'run', 6) == whole


def test_processes_that_are_told_different_things_are_refused(cache, tmp_path):
  found = together(
      cache, 2, 'train_diffusion', f'--workdir={tmp_path}/run', *TOY,
      '--steps=2', own=[('--seed=0',), ('--seed=1',)])
  said = ('train_diffusion: --num_processes: all processes must be given the '
          'same flags, got others than the first\n')
  assert [one.code for one in found] == [1, 1]
  assert (found[1].err, found[1].out) == (said, '')
  assert (found[0].err, found[0].out) == (LOST, '')
  assert not os.path.exists(tmp_path / 'run')


@pytest.mark.parametrize('flags, said', [
    (['--process_id=0'], '--process_id: needs --coordinator=host:port'),
    (['--num_processes=2'], '--num_processes: needs --coordinator=host:port'),
    (['--coordinator=here'], "--coordinator: must be host:port, or auto, got "
     "'here'"),
    (['--coordinator=localhost:1', '--num_processes=2'],
     '--process_id: must be given beside --coordinator'),
    (['--coordinator=localhost:1', '--num_processes=2', '--process_id=2'],
     '--process_id: must be below the 2 of --num_processes, got 2')])
def test_flags_that_do_not_fit_are_refused(run, tmp_path, flags, said):
  run(train_diffusion, f'--workdir={tmp_path}/run', *flags).check_refusal(
      'train_diffusion', [said])
  assert not os.path.exists(tmp_path / 'run')


def saved(workdir):
  """The steps of a run that are on disk."""
  folder = f'{workdir}/checkpoints'
  return [int(name) for name in os.listdir(folder) if name.isdigit()] if (
      os.path.isdir(folder)) else []


@pytest.mark.slow
def test_any_process_may_be_killed_at_any_time(cache, tmp_path):
  """Twenty times kill -9 of one or of both: the run is as if undisturbed."""
  flags = ('train_diffusion', *TOY, '--steps=400', '--save_every=20')
  assert [one.code for one in together(
      cache, 2, *flags, f'--workdir={tmp_path}/whole')] == [0, 0]
  draw = random.Random(0)
  for _ in range(20):
    processes = begun(cache, 2, *flags, f'--workdir={tmp_path}/run')
    # Some while it starts, most between its first save and its last.
    before, wait = saved(tmp_path / 'run'), draw.random() < 0.8
    start = time.monotonic()
    while wait and saved(tmp_path / 'run') == before and (
        processes[0].poll() is None and time.monotonic() - start < 100):
      time.sleep(0.05)
    time.sleep(draw.uniform(0, 1))
    for who in draw.choice([[0], [1], [0, 1]]):
      processes[who].send_signal(signal.SIGKILL)
    start = time.monotonic()
    while any(one.poll() is None for one in processes):
      time.sleep(0.1)
      if time.monotonic() - start > 60:
        # It waits five minutes for one that never joined it.
        for one in processes:
          one.kill()
    for one in ended(processes):
      assert one.code in (0, 1, -signal.SIGKILL, -signal.SIGABRT), one.err
      if one.code not in (0, -signal.SIGKILL):
        assert one.err.endswith(LOST) and 'Traceback' not in one.err, one.err
  assert [one.code for one in together(
      cache, 2, *flags, f'--workdir={tmp_path}/run')] == [0, 0]
  assert digests(tmp_path / 'run', 400) == digests(tmp_path / 'whole', 400)
  assert scalars(tmp_path / 'run') == scalars(tmp_path / 'whole')


@pytest.mark.slow
@pytest.mark.parametrize('who', [0, 1])
def test_sigterm_to_one_stops_all_at_one_step(cache, tmp_path, who):
  flags = ('train_diffusion', *TOY, '--steps=100000', '--save_every=5',
           f'--workdir={tmp_path}/run')
  processes = begun(cache, 2, *flags)
  while not saved(tmp_path / 'run'):
    time.sleep(0.1)
  processes[who].terminate()
  found = ended(processes)
  assert [one.code for one in found] == [0, 0], found
  assert found[0].out == 'stopped: the same command goes on\n'
  last = read_metrics(f'{tmp_path}/run/metrics.jsonl')[-1]['step']
  assert max(saved(tmp_path / 'run')) == last


@pytest.mark.slow
@pytest.mark.parametrize('number, devices, how', [
    (2, 2, []), (4, 1, []), (2, 2, ['--parallel=fsdp']), (2, 2, [
        '--parallel=pmap']), (2, 2, ['--tensor_parallel=2']),
    (2, 2, ['--tensor_parallel=4', '--parallel=fsdp'])])
def test_processes_and_devices_share_in_any_way(
    cache, long, tmp_path, number, devices, how):
  found = together(cache, number, 'train_diffusion',
                   f'--workdir={tmp_path}/run', *TOY, *how, '--steps=20',
                   '--save_every=10', devices=devices)
  assert [one.code for one in found] == [0] * number, found
  check_same_run(tmp_path / 'run', long)


@pytest.mark.slow
@pytest.mark.parametrize('script, flags', [
    ('train_diffusion', ('--preset=digits', '--network=dit', '--width=16',
                         '--depth=2', '--batch_size=16')),
    ('train_vae', ('--network=mlp', '--width=16', '--latents=2')),
    ('train_classifier', ('--width=8', '--features=8', '--groups=4')),
    ('fit_distribution', ('--data=moons',))])
def test_every_kind_goes_on_bit_for_bit_on_other_devices(
    cache, tmp_path, script, flags):
  """40 steps are 17, and 23 of the same devices; of one alone to rounding."""
  flags = (script, *flags, '--steps=40', '--save_every=17', '--log_every=1')
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  assert [one.code for one in together(
      cache, 2, *flags, '--parallel=fsdp', f'--workdir={whole}',
      devices=2)] == [0, 0]
  for number, devices in ((2, 2), (1, 1), (2, 2)):
    source = parts if number == 2 and parts.exists() else whole
    shutil.copytree(source, tmp_path / 'next')
    shutil.rmtree(parts, ignore_errors=True)
    os.rename(tmp_path / 'next', parts)
    folders = [parts / name for name in ('energy', 'flow')] if (
        script == 'fit_distribution') else [parts]
    for folder in folders:
      for step in (34, 40):
        shutil.rmtree(folder / f'checkpoints/{step}')
    found = together(cache, number, *flags, '--parallel=fsdp',
                     f'--workdir={parts}', devices=devices)
    assert [one.code for one in found] == [0] * number, found
    for folder in folders:
      other = whole / folder.relative_to(parts)
      if source == whole and number == 2:
        assert digests(folder, 40) == digests(other, 40)
      step, same = (next(row for row in scalars(path) if row['step'] == 18)
                    for path in (folder, other))
      assert step == pytest.approx(same, rel=1e-5, abs=1e-6)
