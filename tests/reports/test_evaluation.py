"""What an evaluation of samples calls its metrics, and who is asked."""

import types

import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.data import sources
from genjax.metrics import comparison
from genjax.metrics.estimate import share
from genjax.reports import evaluation
from genjax.reports import image_sets
from genjax.reports.judge import Judge
from genjax.runs import classifier
from genjax.runs import diffusion_settings


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


@pytest.mark.parametrize('classes', [(), ('a', 'b')])
def test_a_run_that_is_told_numbers_draws_under_those_of_the_data(
    classes, monkeypatch, tmp_path):
  """And under the classes that go with them: their joint law, not the mean."""
  label, image = np.arange(30) % 2, np.zeros((30, 4, 4, 3), np.uint8)
  vector = (10. * label + np.arange(30) / 30)[:, None].astype(np.float32)
  train = sources.ArraySource({
      'image': image, 'vector': vector, **({'label': label} if classes else {})
  }, classes, ('v',))
  data, drawn = named.Data(train, train), {}
  run = types.SimpleNamespace(step=1, settings=diffusion_settings.Settings(
      shape=(4, 4, 3), class_names=classes, vector_names=('v',)))
  monkeypatch.setattr(evaluation, 'open_drawer', lambda settings: run)
  monkeypatch.setattr(evaluation, 'draw', lambda *args: (
      drawn.update(label=args[3], vector=args[5]), image)[1])
  evaluation.open_samples(evaluation.Settings(samples='run'), data)
  np.testing.assert_array_equal(np.sort(drawn['vector'], 0), np.sort(vector, 0))
  if classes:
    np.testing.assert_array_equal(drawn['vector'][:, 0] >= 10,
                                  drawn['label'] == 1)
  other = sources.ArraySource({'image': image}, ())
  if not classes:
    with pytest.raises(ValueError, match='told the numbers of the data, got v'):
      evaluation.open_samples(evaluation.Settings(samples='run'),
                              named.Data(other, other))
