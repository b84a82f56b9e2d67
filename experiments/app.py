"""How every script runs: flags, one clear line for an error, exit status."""

import logging as std_logging
import os
import re
import sys
import threading
from typing import Callable, Collection

from absl import app
from absl import flags
from absl import logging
import jax

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
    _use_compile_cache()
    if not logging.level_debug():
      # jax tells every user of absl's logs which accelerators it has not.
      std_logging.getLogger('jax').setLevel(std_logging.WARNING)
    try:
      main(*given)
    except KeyboardInterrupt:
      print(f'{name}: interrupted', file=sys.stderr)
      _leave(130)
    except Exception as error:
      logging.debug('raised here', exc_info=True)
      _fail(name, message_of(error))

  def parse(argv: list[str]) -> list[str]:
    try:
      return flags.FLAGS(argv)
    except flags.Error as error:
      return _fail(name, message_of(ValueError(error)))

  app.run(guarded, argv=argv, flags_parser=parse)


def message_of(error: Exception) -> str:
  """One line on what is wrong; of a library's argument, in words of flags."""
  lines = str(error).strip().splitlines()
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


def _use_compile_cache() -> None:
  """Keeps compiled programs between runs, so that the next starts at once."""
  if jax.config.values['jax_compilation_cache_dir'] is None:
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    folder = os.path.join(home, 'genjax')
    try:
      os.makedirs(folder, exist_ok=True)
    except OSError:
      return  # nothing is lost but time
    jax.config.update('jax_compilation_cache_dir', folder)
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
