"""What an evaluation of samples calls its metrics, and who is asked."""

import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.metrics import comparison
from genjax.metrics.estimate import share
from genjax.reports import evaluation
from genjax.reports import image_sets
from genjax.reports.judge import Judge
from genjax.runs import classifier


@pytest.mark.parametrize('data, name', [
    ('digits', 'digits'), ('folder:/my/cats/', 'cats'), ('tfds:svhn', 'svhn'),
    ('folder:/my/pixels', 'folder_pixels')])
def test_metrics_are_called_by_their_data(data, name):
  assert evaluation.name_of(data) == name
  few, others = (comparison.Judged(x, np.arange(4), x, np.arange(4))
                 for x in (np.eye(4), 2 * np.eye(4)))
  found = comparison.compare(few, few, others, evaluation.name_of(data))
  assert len(found) == 11 and f'kid_{name}' in found  # none in place of another


def test_cas_is_the_accuracy_of_who_saw_the_samples_alone(monkeypatch):
  """Of a student that says 0 of everything, whatever its teacher says."""
  digits = named.Data(embedded.digits('train'), embedded.digits('test'))
  test = image_sets.read(digits.test, 10**4, 0)
  teacher, student = (Judge(None, lambda x, said=said: np.full(len(x), said),
                            classifier.Settings(), 'x') for said in (1, 0))
  seen = []
  monkeypatch.setattr(evaluation, 'retrain', lambda judge, data: (
      seen.append((judge, data)), student)[1])
  score = evaluation.accuracy_score(teacher, digits.train, digits, test)
  assert score == share(test.label == 0)
  assert seen == [(teacher, named.Data(digits.train, digits.test))]
