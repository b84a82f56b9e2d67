"""Object stores for tests: the memory of this process, and two servers here."""

import contextlib
import importlib.util

import fsspec
import pytest

from genjax import store
from tests import fake_gcs

ALL = ('memory', 'gs', 's3')


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
  if name == 's3':
    yield from _s3(monkeypatch)
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


def _s3(monkeypatch):
  """Yields what s3fs reads and writes at moto, a stand-in for Amazon's."""
  for package in ('s3fs', 'moto'):
    if importlib.util.find_spec(package) is None:
      pytest.skip(f'{package} is not installed: pip install s3fs moto[server]')
  from moto.server import ThreadedMotoServer
  server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
  server.start()
  for variable, value in {
      'AWS_ENDPOINT_URL': 'http://{}:{}'.format(*server.get_host_and_port()),
      'AWS_ACCESS_KEY_ID': 'a', 'AWS_SECRET_ACCESS_KEY': 'a',
      'AWS_DEFAULT_REGION': 'us-east-1'}.items():
    monkeypatch.setenv(variable, value)
  files = fsspec.filesystem('s3', skip_instance_cache=True,
                            use_listings_cache=False)
  type(files).clear_instance_cache()
  files.makedirs('bucket', exist_ok=True)
  yield files
  files.rm('bucket', recursive=True)  # moto keeps it for the next server
  type(files).clear_instance_cache()
  server.stop()
