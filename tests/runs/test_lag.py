import types

import numpy as np
import pytest

from genjax.runs import lag


@pytest.mark.parametrize('shift, lags', [(1.0, True), (0.1, False),
                                         (-1.0, False)])
def test_a_line_says_where_the_average_is_worse_by_more_than_its_error(
    shift, lags, caplog):
  """Of paired differences with standard deviation 1: of 100 the error is .1,
  however far apart the examples are."""
  caplog.set_level('INFO', logger='absl')
  rng = np.random.default_rng(0)
  own, noise = 100 * rng.normal(size=100), rng.normal(size=100)
  each = {'raw': own, 'averaged': own + shift + (
      noise - noise.mean()) / noise.std(ddof=1)}
  state = types.SimpleNamespace(params='raw', averages={'ema': 'averaged'})
  found = lag.scores(lambda params: (
      {'loss': each[params].mean(), 'loss_by': 1.0}, each[params]), state, 7)
  assert found.keys() == {'test/loss', 'test/loss_by', 'test/loss_raw'}
  assert found['test/loss'] - found['test/loss_raw'] == pytest.approx(shift)
  assert [record.getMessage() for record in caplog.records] == [
      'step 7: the average lags behind: its test loss is 1 +- 0.1 above the '
      f'{own.mean():.4g} of the raw weights'] * lags
