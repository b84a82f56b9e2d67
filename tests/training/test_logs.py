import glob
import json
import math
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from genjax.training.logs import MetricsWriter
from genjax.training.logs import read_metrics


def steps_of(workdir):
  return [line['step'] for line in read_metrics(workdir / 'metrics.jsonl')]


def events_of(path):
  """The events of a TFRecord file: length, checksum, bytes, checksum."""
  with open(path, 'rb') as file:
    while header := file.read(12):
      yield Event.FromString(file.read(struct.unpack('<Q', header[:8])[0]))
      file.read(4)


@pytest.fixture
def writer(tmp_path):
  writer = MetricsWriter(str(tmp_path))
  writer.start(0)
  yield writer
  writer.close()


def test_scalars_are_one_valid_json_line_a_step(tmp_path, writer):
  writer.scalars(5, {'loss': np.float32(0.5), 'far': math.nan, 'up': np.inf})
  writer.scalars(10, {'loss': 1})
  with open(tmp_path / 'metrics.jsonl') as file:
    # NaN and Infinity, which json writes unless told not to, are not JSON.
    lines = [json.loads(line, parse_constant=pytest.fail) for line in file]
  assert lines == [{'step': 5, 'loss': 0.5, 'far': None, 'up': None},
                   {'step': 10, 'loss': 1.0}]
  assert read_metrics(tmp_path / 'metrics.jsonl') == lines


@pytest.mark.parametrize('step, kept', [(0, []), (2, [1, 2]), (9, [1, 2, 3])])
def test_start_cuts_the_log_back(tmp_path, writer, step, kept):
  for i in (1, 2, 3):
    writer.scalars(i, {'loss': i})
  writer.start(step)
  writer.scalars(10, {'loss': 0.0})
  assert steps_of(tmp_path) == kept + [10]


def test_start_drops_a_line_half_written(tmp_path, writer):
  writer.scalars(1, {'loss': 1.0})
  writer.close()
  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 2, "lo')
  writer.start(2)
  writer.scalars(2, {'loss': 2.0})
  assert steps_of(tmp_path) == [1, 2]


def test_tensorboard_gets_finite_scalars_images_and_the_cut(tmp_path, writer):
  writer.scalars(3, {'loss': 0.5, 'far': math.nan})
  writer.image(3, 'samples', np.zeros((4, 4, 3), np.uint8))
  writer.start(2)
  writer.close()
  first, = glob.glob(f'{tmp_path}/tensorboard/*.0')
  second, = glob.glob(f'{tmp_path}/tensorboard/*.2')
  found = [(value.tag, event.step) for event in events_of(first)
           for value in event.summary.value]
  assert found == [('loss', 3), ('samples', 3)]
  # A session that starts at 3 hides what was written from 3 on.
  starts = [event.step for event in events_of(second)
            if event.HasField('session_log')]
  assert starts == [3]
