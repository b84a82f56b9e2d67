"""How every script runs: flags, one clear line for an error, exit status."""

import contextlib
import logging as std_logging
import os
import re
import signal
import sys
import threading
from typing import Any, Callable, Collection, Iterator

from absl import app
from absl import flags
from absl import logging
import jax

from experiments import processes
from experiments import stored
from genjax import store
from genjax import user_cache
from genjax.runs.fit import Stopped

# What is wrong in what the user gave, or in the world; anything else is ours.
_EXPECTED = (ValueError, OSError, RuntimeError)


def run(
    main: Callable[..., None], argv: list[str] | None = None, *,
    words: Collection[str] = (),
) -> None:
  """Runs a script: one clear line and exit status 1 where something is wrong.

  `--verbosity=1` shows where it came from.

  Args:
    main: the script.
    argv: its name and flags; those of the command line where None.
    words: of which main takes one, that stands among the flags.
  """
  argv = sys.argv if argv is None else argv
  name = os.path.splitext(os.path.basename(argv[0]))[0]

  def guarded(argv: list[str]) -> None:
    given = argv[1:]
    if words and (len(given) != 1 or given[0] not in words):
      _fail(name, f'must be told one of {", ".join(words)}, got '
            f'{" ".join(given) or "nothing"}')
    if given and not words:
      _fail(name, f'stray argument {given[0]!r}: flags are written '
            '--name=value')
    user_cache.keep_programs()
    if not logging.level_debug():
      # jax tells every user of absl's logs which accelerators it has not.
      std_logging.getLogger('jax').setLevel(std_logging.WARNING)
    try:
      processes.start(name)
      with stored.workdir_at_hand():
        main(*given)
    except Stopped as stopped:
      print('stopped: the same command goes on', flush=True)
      # Who told it to end is told that it did; who pressed a key, that it is
      # not at its end.
      _leave(130 if stopped.signum == signal.SIGINT else 0)
    except KeyboardInterrupt:
      print(f'{name}: interrupted', file=sys.stderr)
      _leave(130)
    except Exception as error:
      logging.debug('raised here', exc_info=True)
      if jax.process_count() > 1:
        processes.fail(name, message_of(error))
      _fail(name, message_of(error))

  def parse(argv: list[str]) -> list[str]:
    # That --help shows flags that scripts share, too, and not absl's alone.
    for module, found in flags.FLAGS.flags_by_module_dict().items():
      for flag in found if module.startswith('experiments.') else ():
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    try:
      return flags.FLAGS(argv)
    except flags.Error as error:
      return _fail(name, message_of(ValueError(error)))

  with _leaving_at_once(name):
    app.run(guarded, argv=argv, flags_parser=parse)


def holds(folder: str) -> str:
  """What a folder holds, in the last line of a script that wrote it."""
  return (f'{store.shown(folder)} holds '
          f'{", ".join(sorted(os.listdir(folder)))}')


def message_of(error: Exception) -> str:
  """One line on what is wrong; of a library's argument, in words of flags."""
  lines = store.shown(str(error)).strip().splitlines()
  line = lines[0] if lines else ''
  if not isinstance(error, _EXPECTED):
    return (f'failed on {type(error).__name__}: {line} (--verbosity=1 shows '
            'where)')
  argument = re.match(r'(\w+)(?=: )', line)
  if argument and argument[0] in flags.FLAGS:
    return f'--{line}'
  return line or type(error).__name__


def _fail(name: str, message: str) -> list[str]:
  print(f'{name}: {message}', file=sys.stderr)
  _leave(1)
  return []


def _leave(status: int) -> None:
  """Exits at once, whatever threads of a failed save still wait for."""
  waiting = [thread for thread in threading.enumerate()
             if not thread.daemon and thread is not threading.main_thread()]
  if waiting and threading.current_thread() is threading.main_thread():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


@contextlib.contextmanager
def _leaving_at_once(name: str) -> Iterator[None]:
  """Ctrl-C ends the process there and then, with one line.

  But in training, where the first one saves. An exception in the middle of a
  compilation or a save would end it too, with pages of tracebacks.
  """

  def leave(signum: int, frame: Any) -> None:
    del signum, frame
    print(f'\n{name}: interrupted', file=sys.stderr, flush=True)
    store.discard()
    os._exit(130)

  # A shell starts its background jobs deaf to Ctrl-C.
  if (threading.current_thread() is not threading.main_thread()
      or signal.getsignal(signal.SIGINT) is signal.SIG_IGN):
    yield
    return
  before = signal.signal(signal.SIGINT, leave)
  try:
    yield
  finally:
    signal.signal(signal.SIGINT, before)
