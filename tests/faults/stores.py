"""Faults of runs on an object store."""

from tests.faults.fault import Fault
from tests.faults.fault import room

STORE, LOCK = 'genjax/store.py', 'genjax/runs/store_lock.py'
HERE, RUNS = ('tests/test_store.py',), room('runs/store')

FAULTS = (
    Fault('store: a checkpoint is said to be whole before it is', STORE,
          'for last in (False, True):', 'for last in (True, False):',
          HERE),
    Fault('store: half a checkpoint is read', STORE,
          "if (step := _STEP.fullmatch(path)) and step['rest'] == _WHOLE:",
          'if step := _STEP.fullmatch(path):', HERE),
    Fault('store: the best checkpoint is left behind', STORE,
          'return {*steps[-_LATEST:], *best}', 'return {*steps[-_LATEST:]}',
          HERE),
    Fault('store: all is sent each time', STORE,
          'if path not in self._copied or state != self._copied[path][1:]]',
          'if state]', HERE),
    Fault('store: every process sends', STORE,
          'if copy is not None and jax.process_index() == 0:',
          'if copy is not None:', HERE),
    Fault('store: the optimizer is not fetched to train', 'genjax/runs/fit.py',
          'store.pull(workdir, training=True)', 'store.pull(workdir)', RUNS),
    Fault('store: checkpoints wait for the end',
          'genjax/training/checkpoint.py',
          '    store.push(self._directory)', '    pass', RUNS),
    Fault('store lock: taken from the living', LOCK, 'age >= SILENCE',
          'age >= 0', RUNS),
    Fault('store lock: never heard of again', LOCK,
          'copy.files.pipe_file(path, _text(mine))\n      except',
          'pass\n      except', RUNS),
    Fault('store lock: who lost it goes on', STORE,
          'if self.barred is not None:', 'if False:', RUNS),
)
