"""The data that the settings of a run name."""

from typing import Any

from genjax.data import named
from genjax.data.identity import identify
from genjax.data.scaled import Scale
from genjax.runs import workdir as workdirs
from genjax.runs.task import Run
from genjax.types import Shape


def open_data(settings: Any) -> named.Data:
  """The data that settings name, by all of `named.open_data`'s arguments.

  Where settings do not say bits, images have 8 of them.

  Raises:
    ValueError: see `named.open_data`.
  """
  return named.open_data(settings.data, image_size=settings.image_size,
                         channels=settings.channels,
                         bits=getattr(settings, 'bits', 8),
                         held_out=settings.held_out, seed=settings.seed,
                         cache=settings.cache, labels=settings.labels)


def channels_of(data: str, shape: Shape) -> int | None:
  """The setting `channels` of data that have been read; None but of a folder.

  As it would be chosen: so that a folder that is read again has as many.
  """
  return shape[-1] if data.startswith('folder:') else None


def bits_of(data: str, scale: Scale | None) -> int:
  """The setting `bits` of data that have been read; 8 but of a folder."""
  return 16 if data.startswith('folder:') and scale is not None else 8


def scale_of(settings: Any) -> Scale | None:
  """The scale of a run's data; None of pixels of 8 bits, and of points.

  Raises:
    ValueError: settings that say but half of it.
  """
  ends: tuple[float, ...] = getattr(settings, 'value_range', ())
  name: str | None = getattr(settings, 'value_type', None)
  if not ends and name is None:
    return None
  if name is None or len(ends) != 2 or ends[0] >= ends[1]:
    raise ValueError('value_range: must be two numbers that rise, and have a '
                     f'value_type, got {ends} and {name}')
  return Scale(ends[0], ends[1], name)


def reopen_data(workdir: str, run: Run) -> named.Data:
  """The data that the run in `workdir` was trained on.

  Raises:
    ValueError: they cannot be read, or are no longer what they were.
  """
  data = open_data(run.settings)
  workdirs.check_same(workdir, run.task.kind, run.settings,
                      identify(data.train, workdirs.known_files(workdir)))
  return data
