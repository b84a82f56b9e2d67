"""Object stores for tests: memory of this process, and a server's by gcsfs."""

import contextlib
import importlib.util

import fsspec
import pytest

from genjax import store
from tests import fake_gcs

ALL = ('memory', 'gs')


@contextlib.contextmanager
def opened(name, monkeypatch):
  """Yields the store, of fsspec, whose addresses begin with `name`://bucket."""
  if name == 'memory':
    monkeypatch.setattr(store, 'SCHEMES', {'memory': 'fsspec'})
    files = fsspec.filesystem('memory')
    files.store.clear()
    yield files
    files.store.clear()
    return
  if importlib.util.find_spec('gcsfs') is None:
    pytest.skip('gcsfs is not installed: pip install gcsfs')
  # Else it asks Google what kind of bucket this is.
  monkeypatch.setenv('GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT', 'false')
  monkeypatch.setitem(fsspec.config.conf, 'gcs', {'token': 'anon'})
  with fake_gcs.serve() as (url, _):
    monkeypatch.setenv('STORAGE_EMULATOR_HOST', url)
    # One that was made before knows another server.
    files = fsspec.filesystem('gs', skip_instance_cache=True,
                              use_listings_cache=False)
    type(files).clear_instance_cache()
    yield files
    type(files).clear_instance_cache()
