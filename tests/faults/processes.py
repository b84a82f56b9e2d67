"""Faults of several devices, and of several processes."""

from tests.faults.fault import Fault
from tests.faults.fault import room

PARALLEL = 'genjax/training/parallel.py'
PARTITION = 'genjax/networks/partition.py'
PROCESSES = room('experiments/processes')

FAULTS = (
    Fault('tensor parallel: rows taken for columns', PARTITION,
          'else [rows, columns]', 'else [columns, rows]',
          room('networks/partition')),
    Fault('tensor parallel: values whole', PARTITION,
          "('to_q', 'to_k', 'to_v', 'dense_1')", "('to_q', 'to_k', 'dense_1')",
          room('networks/partition')),
    Fault('fsdp: only what tensor parallelism leaves whole', PARALLEL,
          'if fsdp and axes[i] is None and size and size % data == 0]',
          'if fsdp and not any(axes) and size and size % data == 0]',
          room('training/parallel')),
    Fault('state whole on every device', PARALLEL,
          'axes[max(free, key=lambda i: shape[i])] = _DATA', 'pass',
          room('training/parallel')),
    Fault('examples that fill up are returned', PARALLEL,
          'return found if len(rows) == size else', 'return found if rows.size '
          'else', room('training/parallel')),
    Fault('processes: rows numbered by their place', 'genjax/data/pipeline.py',
          "batch['index'] = rows.astype(np.int32)",
          "batch['index'] = np.arange(len(rows), dtype=np.int32)",
          room('data/pipeline')),
    Fault('memory: the optimizer keeps nothing', 'genjax/runs/measure.py',
          'kept = [*[state]', 'kept = [*[state._replace(opt_state=())]',
          room('runs/measure')),
    Fault('processes: all write', 'genjax/files.py',
          'if jax.process_index() > 0:', 'if jax.process_index() > 1:',
          ('tests/test_files.py',)),
    Fault('processes: each trains on the whole batch', PARALLEL,
          'return np.unique(np.concatenate([np.arange(size)[s[0]] for s in '
          'slices]))', 'return np.arange(size)', PROCESSES),
    Fault('processes: flags that differ are not seen', 'genjax/runs/fit.py',
          'check(np.array_equal(mine, parallel.same_as_first(mine)),',
          'check(parallel.same_as_first(mine) is not None,', PROCESSES),
    Fault('processes: the end of one is told in pages',
          'experiments/processes.py', 'if _FATAL.search(line):',
          'if _FATAL.search(line) and not line:', PROCESSES),
)
