"""The environment of a process of its own."""

import os
import re


def environment(
    *, hastily: bool = True, devices: int = 1, **more: str
) -> dict[str, str]:
  """Of one that compiles as these tests do, or as users do, on a CPU."""
  flags = re.sub(r'--\S*device_count\S*' if hastily else r'--xla_\S*cpu_\S*|'
                 r'--\S*device_count\S*', '', os.environ.get('XLA_FLAGS', ''))
  return {
      **os.environ, 'JAX_PLATFORMS': 'cpu',
      'JAX_DISABLE_MOST_OPTIMIZATIONS': str(int(hastily)), 'XLA_FLAGS':
      f'{flags} --xla_force_host_platform_device_count={devices}', **more}
