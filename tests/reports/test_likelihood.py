"""What levels a likelihood is of, where the data are of any range."""

import json
import math
import types

import numpy as np
import pytest

from genjax.reports import image_sets
from genjax.reports import likelihood as report
from genjax.reports.roads import Effort
from genjax.runs.diffusion_settings import Settings


@pytest.mark.parametrize('shape, type_, levels', [
    ((16, 2), 'uint16', 4001), ((6, 8, 5), 'float32', None)])
def test_numbers_of_any_range_have_the_levels_of_whole_ones(
    shape, type_, levels, tmp_path):
  """Of a uniform density on [-1, 1] each whole number has the mass 1 / K."""
  size = math.prod(shape)
  run = types.SimpleNamespace(
      task=types.SimpleNamespace(kind='of a test'), step=1, density='nats',
      settings=Settings(value_range=(50., 4050.), value_type=type_),
      log_prob=lambda x, cond: np.full(len(x), -size * math.log(2)))
  x = np.random.default_rng(0).uniform(-1, 1, (12, *shape)).astype(np.float32)
  report.report(run, image_sets.Images(x, np.zeros(0, int)), str(tmp_path),
                effort=Effort(), num_draws=1)
  found = json.loads((tmp_path / 'report.json').read_text())
  assert found['levels'] == levels and (tmp_path / 'examples.png').exists()
  assert ('blurred' in found['sets']) == (levels is not None)
  # The levels at the ends stand for [-1, 1] and half a level's width beyond.
  mass = 1 if levels is None else math.log2(levels - 1)
  (row,) = found['roads'].values()
  assert row['bits_per_dim']['value'] == pytest.approx(mass)
  if levels is None:
    with pytest.raises(ValueError, match='^num_levels: must be absent for'):
      report.report(run, image_sets.Images(x, np.zeros(0, int)), str(tmp_path),
                    effort=Effort(), num_draws=1, num_levels=256)
