"""Which commands start again with huge pages."""

import os
import subprocess
import sys

import pytest

_TUNABLES = 'GLIBC_TUNABLES'


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc is of Linux')
@pytest.mark.parametrize('name, given, expected', [
    ('-m', None, 'glibc.malloc.hugetlb=1'),  # a command
    ('pytest', None, 'None'),  # whoever imports the package
    ('-m', 'glibc.malloc.check=0', 'glibc.malloc.check=0'),  # has its own
])
def test_a_command_has_huge_pages(name, given, expected):
  """And starts with the same arguments, once."""
  env = {k: v for k, v in os.environ.items() if k != _TUNABLES}
  if given:
    env[_TUNABLES] = given
  script = (f'import os, sys; rest = sys.argv[1:]; sys.argv[0] = {name!r}; '
            f'import experiments; print(rest, os.environ.get({_TUNABLES!r}))')
  result = subprocess.run(
      [sys.executable, '-c', script, '--a=b'], env=env, check=True,
      capture_output=True, text=True)
  assert result.stdout == f"['--a=b'] {expected}\n"
