"""What presets take, on the devices at hand."""

import types

import jax
from jax.experimental import topologies
import pytest

from genjax.reports import benchmark
from genjax.reports import benchmark_sizes
from genjax.reports.table import records
from genjax.runs import diffusion_settings
from genjax.training import work

DIT = {'network': 'dit', 'width': (64,), 'depth': 2, 'patch_size': 4}


@pytest.fixture
def small(monkeypatch):
  """A small preset, and a device of a known peak."""
  monkeypatch.setattr(benchmark_sizes, '_SIZES', {
      'small': (4, 10, ('jit', 'fsdp'))})
  monkeypatch.setattr(diffusion_settings, 'RECIPES', {'small': DIT})
  kind = jax.devices()[0].device_kind
  monkeypatch.setattr(work, 'PEAKS', {kind: {'float32': 1e12}})


def _rows(**settings):
  return records(benchmark_sizes.sizes(
      benchmark.Settings(only='sma', **settings), lambda line: None))


@pytest.fixture
def rows(small):
  """On eight devices."""
  return _rows()


def test_sizes_are_those_of_the_slice_that_is_described(small, monkeypatch):
  monkeypatch.setattr(topologies, 'get_topology_desc', lambda name, platform:
                      types.SimpleNamespace(devices=jax.devices()[:2]))
  found = _rows(topology='v5e:1x2')
  whole, split = found['small, jit, v5e:1x2'], found['small, fsdp, v5e:1x2']
  assert split['state'] == pytest.approx(whole['state'] / 2, rel=0.05)


def test_a_state_is_four_arrays_a_parameter_and_split_by_fsdp(rows):
  whole, split = rows['small, jit'], rows['small, fsdp']
  held = 4 * 4 * whole['params'] * 1e6 / 2**30
  assert whole['state'] == pytest.approx(held, rel=0.1)
  assert held / 8 < split['state'] < 1.05 * whole['state'] / 8
  assert whole['memory'] > whole['state']


def test_time_is_that_of_the_arithmetic_at_a_share_of_the_peak(rows):
  row = rows['small, jit']
  # Three products a weight and example, of two operations.
  assert row['flop'] * 1e9 >= 0.8 * 6 * row['params'] * 1e6
  assert row['rate'] == pytest.approx(8 * 0.4e12 / (row['flop'] * 1e9))


def test_presets_of_no_such_name_are_refused():
  with pytest.raises(ValueError, match="only: must be a part of one of cifar10"
                     ".*got 'y'"):
    benchmark_sizes.sizes(benchmark.Settings(only='y'), lambda line: None)
