"""Met in place of the package by scripts that are run as files.

Python then looks for `experiments` in this folder, and not above it.
"""

import os
import sys

_name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
raise SystemExit(f'{_name}: is run from the top folder, as python -m '
                 f'experiments.{_name}')
