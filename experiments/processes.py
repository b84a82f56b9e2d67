"""Several processes, on one machine or many, that run a script as one.

Each is started with the same flags but --process_id. Files, figures and what is
printed are those of the first; where one ends before its time, the others say
so in one line and end too.
"""

import os
import re
import signal
import sys
from typing import NoReturn

from absl import flags
from absl import logging
import jax

from genjax.checks import check

# What jax and its collectives say, in many lines, where a process has ended.
_FATAL = re.compile(rb'Terminating process because the JAX distributed service')
_LOST = re.compile(r'Gloo|NCCL|coordination|UNAVAILABLE|DEADLINE_EXCEEDED|peer')
_CHATTER = re.compile(rb'^[WEI]\d{4} .*\.cc:\d+\]|^\[Gloo\]|peer ranks|'
                      rb'^Additional GRPC|^:UNKNOWN:Error received from peer')


def define_flags() -> None:
  """Flags of every script."""
  flags.DEFINE_string(
      'coordinator', None, 'Address host:port of the first of several '
      'processes that run this command as one, each with its own '
      '--process_id; auto finds the processes of a TPU pod, of SLURM, of Open '
      'MPI and of Kubernetes by itself.')
  flags.DEFINE_integer(
      'num_processes', None, 'Number of processes that run this command as '
      'one.', 1, 2**16)
  flags.DEFINE_integer(
      'process_id', None, 'Number of this process among those, from 0 on.', 0,
      2**16)


def start(name: str) -> None:
  """Joins the processes that the flags of `define_flags` name, if any.

  Args:
    name: of the script, which begins the line on an end before its time.

  Raises:
    ValueError: flags that do not fit each other.
    RuntimeError: the others are not found.
  """
  values = flags.FLAGS
  if 'coordinator' not in values:
    return
  given = {'num_processes': values.num_processes,
           'process_id': values.process_id}
  address = values.coordinator
  if address is None:
    for flag, value in given.items():
      check(value is None, flag, 'needs --coordinator=host:port', value)
    return
  if address != 'auto':
    check(re.fullmatch(r'\S+:\d+', address) is not None, 'coordinator',
          'must be host:port, or auto', repr(address))
    for flag, value in given.items():
      check(value is not None, flag, 'must be given beside --coordinator', None)
    check(values.process_id < values.num_processes, 'process_id',
          f'must be below the {values.num_processes} of --num_processes',
          values.process_id)
  _filter_errors(name)
  try:
    jax.distributed.initialize(None if address == 'auto' else address, **given)
  except ValueError as error:
    raise ValueError('coordinator: auto found no processes to join: give '
                     f'host:port, got {error}') from error
  if jax.process_index() > 0:
    sys.stdout = open(os.devnull, 'w', encoding='utf8')
    logging.set_verbosity(logging.ERROR)


def fail(name: str, message: str) -> NoReturn:
  """Ends this process, of several, with one line."""
  print(_said(name) if _LOST.search(message) else f'{name}: {message}',
        file=sys.stderr, flush=True)
  sys.stdout.flush()
  # Not by way of the others, which may wait for what does not come.
  os._exit(1)


def _said(name: str) -> str:
  return (f'{name}: another of the processes did not start or ended before its '
          'time: start all of them again, and the same command goes on')


def _filter_errors(name: str) -> None:
  """Lets a child read what this process says of errors, and say it shorter.

  jax ends a process whose coordinator is gone from within, with pages.
  """
  read, write = os.pipe()
  sys.stdout.flush()
  sys.stderr.flush()
  if os.fork():
    # Collectives chat on the standard output: only Python's stays there.
    sys.stdout = os.fdopen(os.dup(1), 'w', encoding='utf8')
    for stream in (1, 2):
      os.dup2(write, stream)
    os.close(read)
    os.close(write)
    return
  try:
    os.close(write)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      signal.signal(number, signal.SIG_IGN)  # it ends when its parent has
    with os.fdopen(read, 'rb') as lines:
      for line in lines:
        if _FATAL.search(line):
          os.write(2, f'{_said(name)}\n'.encode())
          break
        if not _CHATTER.search(line):
          os.write(2, line)
      while os.read(read, 2**16):  # the rest of it
        pass
  finally:
    os._exit(0)
