"""Repeated experiments have the law of the sums of their draws."""

import math

import pytest

from genjax.metrics import central_limit
from genjax.reports import random_experiments
from genjax.reports.table import as_json


@pytest.mark.parametrize('name', ['coin', 'roulette'])
def test_running_means_have_the_law_of_the_sums(name):
  law = central_limit.make_lattice(*random_experiments.EXPERIMENTS[name])
  sums = central_limit.sums(law, 256)
  means = random_experiments.running_means(law, 256, 3)
  runs = len(means)
  for n, row in zip(sums, as_json(random_experiments.compare(
      law, sums, means)), strict=True):
    exact = row['exact_share_in_band']
    assert (abs(row['share_in_band'] - exact)
            <= 4 * math.sqrt(exact * (1 - exact) / runs) + 1e-12)
    # Of the mean square: by the fourth moment, 3 + excess / n.
    error = math.sqrt((sums[n].pmf @ sums[n].z**4 - 1) / runs)
    ratio = (row['rms_error'] / row['exact_rms_error'])**2
    assert abs(ratio - 1) <= 4 * error + 1e-12
