"""Eight virtual CPU devices for every test; x64 stays off.

Arrays live on the first device unless a test says otherwise.
"""

import os

# Read when jax first asks for its devices, which importing it does not.
os.environ['XLA_FLAGS'] = (
    os.environ.get('XLA_FLAGS', '')
    + ' --xla_force_host_platform_device_count=8')
