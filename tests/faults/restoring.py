"""Faults in restoration by name, and what is reported of it."""

from tests.faults.fault import Fault
from tests.faults.fault import room

RESTORING = 'genjax/diffusion/restoring.py'
REPORT = 'genjax/reports/restoration.py'
MEASURED = 'genjax/reports/measurements.py'
LAWS = room('reports/restoration')
SCRIPT = room('experiments/restore')

FAULTS = (
    Fault('restoring: repeats forgotten', RESTORING,
          'repeats=options.repeats), denoiser', '), denoiser', LAWS),
    Fault('restoring: scale of pigdm forgotten', RESTORING,
          'data_std=options.data_std, scale=options.scale)',
          'data_std=options.data_std)', LAWS),
    Fault('restoring: every step the first', RESTORING,
          'state = advance(params, key, *each, state, step)',
          'state = advance(params, key, *each, state, 0)', LAWS),
    Fault('restored: each image by the last measurement', REPORT,
          'jnp.asarray(y[rows[block]], jnp.float32))',
          'jnp.asarray(y[0 * rows[block]], jnp.float32))', LAWS),
    Fault('measured: the lower half', MEASURED,
          'kept[:max(1, shape[0] // 2)] = True',
          'kept[max(1, shape[0] // 2):] = True', LAWS),
    Fault('measured: one random half for all seeds', MEASURED,
          "keys.generator(seed, 'subset').permutation(size)",
          "keys.generator(0, 'subset').permutation(size)", LAWS),
    Fault('restore: steps of a solver forgotten', 'experiments/restore.py',
          'found[name] = int(number or steps)', 'found[name] = steps', SCRIPT),
    Fault('restored: ranks of what was seen', REPORT,
          'return rest if rest.any() else np.ones_like(rest)',
          'return np.ones_like(rest)', SCRIPT),
)
