"""Faults in paths between images, and in the codes that they run through."""

from tests.faults.fault import Fault
from tests.faults.fault import room

PATHS = 'genjax/interpolation.py'
CODECS = 'experiments/codecs.py'

FAULTS = (
    Fault('slerp: half of the angle', PATHS, 'angle = 2 * jnp.arctan2(',
          'angle = jnp.arctan2(', ('tests/test_interpolation.py',)),
    Fault('geodesic: the curve, however long', PATHS,
          'length(decode(curve)) < length(decode(line))', 'True',
          ('tests/test_interpolation.py',)),
    Fault('geodesic: in the space of codes', PATHS,
          'energy(decode(bent(steps)))', 'energy(bent(steps))',
          ('tests/test_interpolation.py',)),
    Fault('norm: none of what is no number', 'genjax/numerics.py',
          'zero = squared == 0', 'zero = ~(squared > 0)',
          ('tests/test_numerics.py', 'tests/test_interpolation.py')),
    Fault('encode: from noise to data', 'genjax/diffusion/samplers.py',
          'falling=True)[::-1]', 'falling=True)', room('diffusion/encode')),
    Fault('codec: of the first class only', CODECS,
          'model.denoiser(variables, classes.second)',
          'model.denoiser(variables, classes.first)',
          room('experiments/interpolate')),
    Fault('codec: a VAE of the first class only', CODECS,
          'lerp)(first, second, classes.share)',
          'lerp)(first, first, classes.share)',
          room('experiments/interpolate')),
    Fault('codec: log-density of class 0', CODECS,
          'jnp.arange(num_classes)[:, None]',
          'jnp.zeros(num_classes, int)[:, None]',
          room('experiments/interpolate')),
    Fault('styles: of one class', 'experiments/interpolate.py',
          'jnp.tile(jnp.arange(num_classes), rows)',
          'jnp.zeros(rows * num_classes, int)',
          room('experiments/interpolate')),
)
