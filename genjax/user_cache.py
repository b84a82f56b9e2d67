"""Where what is kept between runs lies: pixels, compiled programs."""

import os


def folder() -> str:
  """The user's folder of genjax's caches, which may not exist.

  `genjax` in $XDG_CACHE_HOME, or in ~/.cache where that is not set.
  """
  top = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return os.path.join(top, 'genjax')
