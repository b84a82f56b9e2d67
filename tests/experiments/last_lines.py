"""The last lines of a script, held against the files that it wrote.

`conftest.run_script` asks this of every script that ends well, in whatever
test it runs.
"""

import pathlib
import re
from typing import Any, Sequence

_LINES = 12  # lines that are the last ones
_FOLDERS = ('--workdir=', '--out=')


def stamps(args: Sequence[Any]) -> dict[str, tuple[int, int]]:
  """Path -> (time of writing, size) of files below the folders of flags."""
  found = {}
  for folder in _folders(args):
    for path in folder.rglob('*'):
      if path.is_file() and not path.is_symlink():
        stat = path.stat()
        found[str(path)] = stat.st_mtime_ns, stat.st_size
  return found


def complaint(
    args: Sequence[Any], out: str, before: dict[str, tuple[int, int]]
) -> str:
  """What is wrong with the last lines; '' where nothing is.

  Each file that is new or changed must be named, or lie in a folder that is;
  the folder that --workdir names is not enough. Each path that is named must
  be there.

  Args:
    args: flags of the script.
    out: what it printed.
    before: `stamps` before it ran.
  """
  named = _named(out.splitlines()[-_LINES:])
  missing = sorted(str(path) for path in named if not path.exists())
  own = {pathlib.Path(arg.removeprefix('--workdir=')) for arg in map(str, args)
         if arg.startswith('--workdir=')}
  after = stamps(args)
  unnamed = sorted(
      path for path, stamp in after.items() if stamp != before.get(path)
      and not (named - own) & {pathlib.Path(path), *pathlib.Path(path).parents})
  return '; '.join([f'names {path}, which is not there' for path in missing]
                   + [f'wrote {path}, which is not named' for path in unnamed])


def _folders(args: Sequence[Any]) -> set[pathlib.Path]:
  """Those in which a script may write; an .npz file has flags beside it."""
  paths = {pathlib.Path(arg.partition('=')[2]) for arg in map(str, args)
           if arg.startswith(_FOLDERS)}
  return {path.parent if path.suffix else path for path in paths}


def _named(lines: Sequence[str]) -> set[pathlib.Path]:
  """Absolute paths, and what a folder is said to hold."""
  found = set()
  for line in lines:
    if match := re.search(r'(/\S+) holds (.+)', line):
      folder, names = match.groups()
      found |= {pathlib.Path(folder) / name for name in names.split(', ')}
      line = line[:match.start()]
    found |= {pathlib.Path(path.rstrip('.')) for path in re.findall(
        r'(?<![\w=./+])/\w[^\s,;:]*', line)}
  return found
