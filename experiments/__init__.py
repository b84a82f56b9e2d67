"""Scripts, one a question: python -m experiments.<name> --help.

On Linux such a command starts itself again, before anything is imported, with
huge pages for the large pieces of memory that it asks for (glibc 2.35 or
later). A step of training on a CPU takes all its memory in one piece and gives
it back at its end; to get it page by page, each of them cleared, took up to two
fifths of the step. Whoever sets GLIBC_TUNABLES has it as it is.
"""

import os
import sys

_TUNABLES = 'GLIBC_TUNABLES'


def _with_huge_pages() -> None:
  """Runs the same command again, as the same process."""
  os.environ[_TUNABLES] = 'glibc.malloc.hugetlb=1'
  os.execv(sys.executable, sys.orig_argv)


# The name of a command while Python looks for its module, and only then.
if (sys.argv[0] == '-m' and sys.platform == 'linux'
    and _TUNABLES not in os.environ):
  _with_huge_pages()
