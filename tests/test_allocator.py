"""What a process does with memory that it frees."""

import subprocess
import sys

import pytest

from genjax import allocator

# Takes 64 MB and frees it, five times; prints the pages that the system had to
# give for that.
_SCRIPT = """
import ctypes, resource
{keep}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def take():
  start = libc.malloc(1 << 26)
  ctypes.memset(start, 1, 1 << 26)
  libc.free(start)
take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
  take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep):
  result = subprocess.run(
      [sys.executable, '-c', _SCRIPT.format(keep=keep)], check=True,
      capture_output=True, text=True)
  return int(result.stdout)


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc is of Linux')
def test_freed_memory_is_kept():
  pages = 5 * (1 << 26) // 4096  # at most: a huge page counts once
  kept = faults('from genjax import allocator; '
                'assert allocator.keep_freed_memory()')
  assert kept < 100 < faults('') <= 1.1 * pages


def test_without_glibc_nothing_is_done(monkeypatch):
  monkeypatch.setattr(allocator.sys, 'platform', 'darwin')
  assert not allocator.keep_freed_memory()
