"""What an evaluation of samples calls its metrics."""

import numpy as np
import pytest

from genjax.metrics import comparison
from genjax.reports import evaluation


@pytest.mark.parametrize('data, name', [
    ('digits', 'digits'), ('folder:/my/cats/', 'cats'), ('tfds:svhn', 'svhn'),
    ('folder:/my/pixels', 'folder_pixels')])
def test_metrics_are_called_by_their_data(data, name):
  assert evaluation.name_of(data) == name
  few, others = (comparison.Judged(x, np.arange(4), x, np.arange(4))
                 for x in (np.eye(4), 2 * np.eye(4)))
  found = comparison.compare(few, few, others, evaluation.name_of(data))
  assert len(found) == 9 and f'kid_{name}' in found  # none in place of another
