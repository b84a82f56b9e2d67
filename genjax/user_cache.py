"""Where what is kept between runs lies: pixels, compiled programs."""

import os

import jax


def folder() -> str:
  """The user's folder of genjax's caches, which may not exist.

  `genjax` in $XDG_CACHE_HOME, or in ~/.cache where that is not set.
  """
  top = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  return os.path.join(top, 'genjax')


def keep_programs() -> None:
  """Keeps compiled programs between runs, so that the next starts at once."""
  if jax.config.values['jax_compilation_cache_dir'] is None:
    try:
      os.makedirs(folder(), exist_ok=True)
    except OSError:
      return  # nothing is lost but time
    jax.config.update('jax_compilation_cache_dir', folder())
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
