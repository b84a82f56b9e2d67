"""Faults in the loop of training: what it measures, and what it keeps."""

from tests.faults.fault import Fault
from tests.faults.fault import room

LOOP, WORK = 'genjax/training/loop.py', 'genjax/training/work.py'
PARALLEL = 'genjax/training/parallel.py'
PROFILE = 'genjax/training/profile.py'

FAULTS = (
    Fault('work: loops counted once', WORK,
          'yield found, times * length', 'yield found, times',
          room('training/work')),
    Fault('work: of one device', WORK,
          'max(flop * num_devices', 'max(flop', room('training/work')),
    Fault('compiled again: a batch unlike the first', LOOP,
          'same_batch.check(batch)', 'pass',
          room('training/layout')),
    Fault('compiled again: the state in another layout', PARALLEL,
          'jax.lax.with_sharding_constraint, state,',
          'lambda x, _: x.astype(jax.numpy.float16) if x.ndim else x, state,',
          room('runs/compiled_once')),
    Fault('kept for ever: pruned all the same', 'genjax/training/checkpoint.py',
          'if self.every:', 'if False:', room('training/kept')),
    Fault('kept for ever: where it is saved anyway', LOOP,
          'checkpointer is not None and checkpointer.keeps(step))', 'False)',
          room('training/kept')),
    Fault('profile: without its last step', PROFILE,
          'step >= self.steps[-1]', 'step >= self.steps[-2]',
          room('training/profile')),
    Fault('a bucket is a folder', 'genjax/checks.py', "'://' not in path",
          'True', room('runs/workdir')),
    Fault('ahead: none is', 'genjax/training/ahead.py',
          'len(self._held) < 2', 'len(self._held) < 1', room('training/ahead')),
    Fault('ahead: an error before its batch', 'genjax/training/ahead.py',
          'self._held.append(error)', 'self._held.appendleft(error)',
          room('training/ahead')),
    Fault('several steps: a device has one of the batches',
          'genjax/training/step.py', 'np.stack(x, axis=1)',
          'np.stack(x, axis=0)', room('training/several')),
    Fault('several steps: across a checkpoint', LOOP,
          'value % steps_per_call == 0', 'True', room('training/several')),
    Fault('several steps: the work of all', 'genjax/training/work.py',
          'Work(flop / steps,', 'Work(flop,', room('training/work')),
    Fault('work: what the compiler leaves out', WORK,
          'flop = max(flop * num_devices * (repeated / once if once else 1.0), '
          'repeated)',
          'flop = flop * num_devices * (repeated / once if once else 1.0)',
          room('training/work')),
    Fault('profile: lost with a signal', LOOP,
          'stack.callback(profile.close)', 'pass', room('training/profile')),
)
