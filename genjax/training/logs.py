"""Metrics on disk: one JSON line a step, and the same for TensorBoard."""

import json
import math
import os
from typing import Any, Mapping

from absl import logging
import jax
import numpy as np


class MetricsWriter:
  """Writes scalars to `metrics.jsonl` and TensorBoard events in `workdir`.

  A line reads {"step": 100, "loss": 0.5, ...}; a number that is not finite is
  written as null, so every line is valid JSON. Of several processes only the
  first one writes.
  """

  def __init__(self, workdir: str):
    from tensorboardX import SummaryWriter  # protobuf: kept off the imports
    self._open_events = lambda step: SummaryWriter(
        os.path.join(workdir, 'tensorboard'), purge_step=step + 1,
        # Two files of one second would have one name.
        filename_suffix=f'.{step}')
    self._path = os.path.join(workdir, 'metrics.jsonl')
    self._events: Any = None
    self._lines: Any = None

  def start(self, step: int) -> None:
    """Opens the logs to go on after `step`, and forgets all later than it.

    Args:
      step: the step restored, 0 for a new run. Lines of later steps, and one
        half-written, are cut off; TensorBoard hides later events.
    """
    self.close()
    if not self._writes():
      return
    os.makedirs(os.path.dirname(self._path) or '.', exist_ok=True)
    kept = [json.dumps(record) + '\n' for record in read_metrics(self._path)
            if record['step'] <= step]
    # Written beside and renamed: a kill in between loses no line.
    with open(self._path + '.tmp', 'w') as file:
      file.writelines(kept)
    os.replace(self._path + '.tmp', self._path)
    self._lines = open(self._path, 'a', buffering=1)
    self._events = self._open_events(step)

  def scalars(self, step: int, values: Mapping[str, Any]) -> None:
    """Writes one line of scalars of `step`, Python or numpy numbers."""
    if not self._writes():
      return
    values = {name: float(value) for name, value in values.items()}
    finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
    self._lines.write(json.dumps({'step': step, **finite}) + '\n')
    for name, value in finite.items():
      if value is not None:
        self._events.add_scalar(name, value, step)

  def image(self, step: int, name: str, image: np.ndarray) -> None:
    """Adds an image, uint8 [H, W, C], to TensorBoard only."""
    if self._writes():
      self._events.add_image(name, image, step, dataformats='HWC')

  def flush(self) -> None:
    """Makes TensorBoard events visible; lines always are."""
    if self._writes():
      self._events.flush()

  def close(self) -> None:
    """Closes both files; `start` opens them again."""
    if self._lines is not None:
      self._lines.close()
      self._events.close()
    self._lines = self._events = None

  def _writes(self) -> bool:
    return jax.process_index() == 0


def read_metrics(path: str) -> list[dict[str, Any]]:
  """The lines of a `metrics.jsonl`, in order; null reads as None.

  A damaged line is left out, with a warning: the checkpoints do not need it.
  There are none if there is no file.
  """
  if not os.path.exists(path):
    return []
  records = []
  with open(path, encoding='utf8', errors='replace') as file:
    # Only a killed write leaves a line without its end, and only the last.
    lines = [line for line in file if line.endswith('\n')]
  for number, line in enumerate(lines, 1):
    try:
      record = json.loads(line)
      if isinstance(record['step'], int):
        records.append(record)
        continue
    except (ValueError, TypeError, KeyError):
      pass
    logging.warning('line %d of %s is damaged: it is left out', number, path)
  return records
