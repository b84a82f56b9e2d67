"""Faults in what is there for speed: blocks, memory, the benchmark."""

from tests.faults.fault import Fault
from tests.faults.fault import room

BLOCKS = 'genjax/networks/blocks.py'

FAULTS = (
    Fault('blocks: never unrolled', BLOCKS,
          'depth if is_unrolled() and not remat else 1', '1',
          room('networks/blocks')),
    Fault('blocks: unrolled under remat', BLOCKS,
          'is_unrolled() and not remat', 'is_unrolled()',
          room('networks/blocks')),
    Fault('layer norm: variance of what is not centred',
          'genjax/networks/normalization.py', 'jnp.square(centred)',
          'jnp.square(wide)', room('networks/normalization')),
    Fault('memory: given back', 'genjax/allocator.py', '(_MMAP_MAX, 0), ', '',
          ('tests/test_allocator.py',)),
    Fault('memory: a script does not keep it', 'experiments/app.py',
          'allocator.keep_freed_memory()', 'pass', room('experiments/app')),
)
