"""The one door to tensorflow-datasets: prepared sets, read at random.

Nothing is downloaded here, and TensorFlow is not needed to read.
"""

import dataclasses
import operator
from typing import Any, Sequence

from absl import logging
import numpy as np
from PIL import Image

from genjax.checks import check
from genjax.data.image_files import fit
from genjax.types import Shape

_FORMAT = 'array_record'


@dataclasses.dataclass(frozen=True)
class TfdsSource:
  """Images and class labels of a prepared set.

  Attributes:
    records: The random-access reader of tensorflow-datasets.
    class_names: The names of the classes; empty where there are none.
    size: Height and width to which images are resampled and cropped, or None
      where they pass as they are.
  """

  records: Sequence[Any]
  class_names: tuple[str, ...]
  size: tuple[int, int] | None

  def __len__(self) -> int:
    return len(self.records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    record = self.records[operator.index(index)]
    image = np.asarray(record['image'])
    if self.size is not None:
      channels = image.shape[-1]
      picture = Image.fromarray(image[..., 0] if channels == 1 else image)
      image = fit(picture, self.size, channels)
    if not self.class_names:
      return {'image': image}
    # Some test splits are published with -1 in place of the label.
    check(record['label'] >= 0, 'tfds_source',
          'the split must have labels: choose another', record['label'])
    return {'image': image, 'label': np.int32(record['label'])}


def tfds_source(
    name: str,
    split: str,
    data_dir: str | None = None,
    *,
    size: tuple[int, int] | None = None,
) -> TfdsSource:
  """The images of one split of a set in tensorflow-datasets.

  Args:
    name: Of the set, with config and version where wanted, such as 'cifar10'
      or 'my_set/config:1.0.0'.
    split: Such as 'train', 'test' or 'train[:90%]'. Of a set without 'test',
      as ImageNet, that is 'validation'.
    data_dir: Where sets are prepared; None is ~/tensorflow_datasets.
    size: Height and width in pixels to which images are resampled and cropped,
      as those of a folder are. Needed where the images differ in size.

  Returns:
    A source with `class_names`; 'image' is uint8 [H, W, C], C 1 or 3.

  Raises:
    ValueError: If the set is unknown or not prepared as array_record, the
      split is unknown or incomplete, or there are no such images.
  """
  import tensorflow_datasets as tfds

  where = 'tfds_source'
  try:
    builder = tfds.builder(name, data_dir=data_dir, file_format=_FORMAT)
  except tfds.core.registered.DatasetNotFoundError:
    raise ValueError(
        f"{where}: name must be a set of tensorflow-datasets (see "
        f'tfds.list_builders() or www.tensorflow.org/datasets), got {name!r}'
    ) from None
  except (ValueError, AssertionError, RuntimeError) as error:
    raise ValueError(
        f'{where}: name must be set[/config][:version], got {name!r}: '
        f'{str(error).splitlines()[0]}') from error
  splits = builder.info.splits
  if split == 'test' and 'test' not in splits and 'validation' in splits:
    split = 'validation'
  if splits:
    _check_split(where, splits, name, split)
  try:
    records = builder.as_data_source(split, file_format=_FORMAT)
  except Exception as error:
    # Of almost any type, for sets that are absent or in other files.
    raise ValueError(_not_prepared(where, builder, name, data_dir)) from error
  if splits:
    _check_complete(where, splits[split], len(records), name)
  return _normalised(where, tfds, builder, records, name, size)


def _normalised(where, tfds, builder, records, name, size):
  features = dict(builder.info.features.items())
  image, label = features.get('image'), features.get('label')
  dtype = getattr(image, 'np_dtype', None)
  shape: Shape = getattr(image, 'shape', ())
  check(dtype == np.uint8 and len(shape) == 3 and shape[-1] in (1, 3), where,
        f"{name!r} must have a feature 'image', uint8 [H, W, 1 or 3]",
        ', '.join(f'{k} {v.shape}' for k, v in features.items()))
  check(size is not None or None not in shape, where,
        f'images of {name!r} differ in size: image_size must be given', size)
  names: tuple[str, ...] = ()
  if isinstance(label, tfds.features.ClassLabel):
    names = tuple(label.names)
  elif label is not None:
    logging.warning("%s: 'label' of %r is left out: it is no class but %s",
                    where, name, label)
  return TfdsSource(records, names, size)


def _check_split(where, splits, name, split):
  try:
    splits[split]
  except (KeyError, ValueError):
    raise ValueError(
        f"{where}: split of {name!r} must be one of {', '.join(splits)} or a "
        f"slice such as 'train[:90%]', got {split!r}") from None


def _check_complete(where, split, length, name):
  # The length comes from the metadata: a file cut short, or lost in copying,
  # shows only in what the files themselves hold.
  from array_record.python import array_record_module

  expected = split.num_examples
  check(length == expected, where,
        f'{name!r} must hold its {expected} examples: prepare it anew', length)
  for part in split.file_instructions:
    reader = array_record_module.ArrayRecordReader(part.filename)
    check(reader.num_records() == part.examples_in_shard, where,
          f'{part.filename!r} must hold {part.examples_in_shard} examples: '
          f'delete its folder and prepare {name!r} anew',
          reader.num_records())


def _not_prepared(where, builder, name, data_dir) -> str:
  place = '' if data_dir is None else f', data_dir={data_dir!r}'
  command = (f"import tensorflow_datasets as tfds; tfds.builder({name!r}, "
             f"file_format='{_FORMAT}'{place}).download_and_prepare()")
  return (f'{where}: {name!r} must be prepared as {_FORMAT}: run once '
          f'python -c "{command}" (stock sets need pip install '
          f'tensorflow-cpu for this step only), got none in '
          f'{builder.data_path}')
