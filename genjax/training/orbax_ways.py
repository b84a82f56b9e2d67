"""What orbax says and refuses, and is better said or done otherwise."""

import contextlib
import glob
import json
import logging as std_logging
import os
import shutil
import sys
from typing import Iterator

from absl import logging


@contextlib.contextmanager
def stragglers_ignored() -> Iterator[None]:
  """Drops tracebacks of reads that end after another has failed.

  There is one an array, and they bury the line that says what is wrong.
  """
  hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
  try:
    yield
  finally:
    sys.unraisablehook = hook


def drop_damaged_metrics(directory: str) -> None:
  """Removes unreadable metrics: orbax would refuse the whole directory."""
  for path in glob.glob(os.path.join(glob.escape(directory), '*', 'metrics')):
    if not os.path.basename(os.path.dirname(path)).isdigit():
      continue  # being written, perhaps by a run that goes on elsewhere
    try:
      with open(os.path.join(path, 'metrics')) as file:
        float(json.load(file)['metric'])
    except (OSError, ValueError, KeyError, TypeError):
      logging.warning('metrics in %s are damaged: it is not ranked', path)
      shutil.rmtree(path)


def silence(record: std_logging.LogRecord) -> bool:
  """Drops what orbax tells of its progress into the log of every absl user."""
  return (record.levelno >= std_logging.ERROR
          or f'{os.sep}orbax{os.sep}' not in record.pathname)
