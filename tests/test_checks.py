"""Every check passes what it should, and says one line where it should not."""

import numpy as np
import pytest

from genjax import checks

ROWS = {
    'check': (
        lambda x: checks.check(x > 1, 'f', 'x must be above 1', x),
        2, 1, 'f: x must be above 1, got 1'),
    'check_rank': (
        lambda x: checks.check_rank('f', 'x', x, 2),
        np.zeros((2, 3)), np.zeros(3),
        'f: x must have 2 axes, got shape (3,)'),
    'check_same_shape': (
        lambda x: checks.check_same_shape('f', a=np.zeros(3), b=x),
        np.ones(3), np.zeros((1, 3)),
        'f: a, b must have one shape, got (3,), (1, 3)'),
    'check_positive': (
        lambda x: checks.check_positive('f', 'x', x),
        1e-9, 0, 'f: x must be positive, got 0'),
    'check_positive_nan': (
        lambda x: checks.check_positive('f', 'x', x),
        1, float('nan'), 'f: x must be positive, got nan'),
    'check_in_range_low': (
        lambda x: checks.check_in_range('f', 'x', x, 0, 1),
        0, -0.1, 'f: x must be in [0, 1], got -0.1'),
    'check_in_range_high': (
        lambda x: checks.check_in_range('f', 'x', x, 0, 1),
        1, 1.1, 'f: x must be in [0, 1], got 1.1'),
    'check_choice': (
        lambda x: checks.check_choice('f', 'x', x, {'b': 1, 'a': 2}),
        'a', 'c', "f: x must be one of a, b, got 'c'"),
}


@pytest.mark.parametrize('name', ROWS)
def test_checks_pass_good_and_name_bad(name):
  run, good, bad, message = ROWS[name]
  run(good)
  with pytest.raises(ValueError) as error:
    run(bad)
  assert str(error.value) == message
