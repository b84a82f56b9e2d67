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
    Fault('huge pages: whoever imports scripts starts again',
          'experiments/__init__.py', "sys.argv[0] == '-m' and ", '',
          room('experiments/huge_pages')),
    Fault('huge pages: never asked for', 'experiments/__init__.py',
          "sys.argv[0] == '-m'", "sys.argv[0] == 'm'",
          room('experiments/huge_pages')),
    Fault('benchmark: calls of the network are not subtracted',
          'genjax/reports/benchmark_pairs.py', 'ms[side] - ms[calls]',
          'ms[side]', room('reports/benchmark_pairs')),
    Fault('benchmark: the ratio of medians',
          'genjax/reports/benchmark_pairs.py',
          "ms['theirs'] / ms['ours']\n", "ms['theirs'] / ours\n",
          room('reports/benchmark_pairs')),
    Fault('machine: a slice that stays described', 'genjax/machine.py',
          '    _described.clear()', '    pass', ('tests/test_machine.py',)),
    Fault('machine: the mesh of what is at hand', 'genjax/training/parallel.py',
          'devices = machine.devices()', 'devices = jax.devices()',
          ('tests/test_machine.py',)),
    Fault('sizes: of the devices at hand, whatever is described',
          'genjax/reports/benchmark_sizes.py', 'if settings.topology:',
          'if False:', room('reports/benchmark_sizes')),
    Fault('sizes: at the whole of the peak',
          'genjax/reports/benchmark_sizes.py',
          'SHARE * work.peak / work.flop', 'work.peak / work.flop',
          room('reports/benchmark_sizes')),
)
