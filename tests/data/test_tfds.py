"""Laws of the door to tensorflow-datasets, offline and without TensorFlow."""

import itertools
import pathlib

import chex
import numpy as np
from PIL import Image
import pytest
import tensorflow_datasets

from genjax.data import image_files
from genjax.data import pipeline
from genjax.data import sources
from genjax.data import tfds

_core, _features = tensorflow_datasets.core, tensorflow_datasets.features
TRAIN, TEST = 12, 5


def _image(i, size):
  return np.full((size, 8, 3), i, np.uint8)


def _info(builder, **features):
  return _core.DatasetInfo(
      builder=builder, features=_features.FeaturesDict(features))


class _Builder(_core.GeneratorBasedBuilder, skip_registration=True):
  VERSION = _core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'first'}

  def _split_generators(self, manager):
    return {'train': self._generate_examples(TRAIN),
            'test': self._generate_examples(TEST)}


class GenjaxFixed(_Builder):
  """Labelled images of one size."""

  def _info(self):
    return _info(self, image=_features.Image(shape=(6, 8, 3)),
                 label=_features.ClassLabel(names=['cat', 'dog']),
                 weight=_features.Scalar(np.float32))

  def _generate_examples(self, count):
    for i in range(count):
      # The test split has no labels.
      yield i, {'image': Image.fromarray(_image(i, 6)), 'weight': 0.5,
                'label': i % 2 if count == TRAIN else -1}


class GenjaxVaried(_Builder):
  """Images of several sizes, no labels."""

  def _info(self):
    return _info(self, image=_features.Image(shape=(None, None, 3)))

  def _generate_examples(self, count):
    for i in range(count):
      yield i, {'image': Image.fromarray(_image(i, 6 + i))}


class GenjaxValidated(_Builder):
  """A set without test data."""

  def _info(self):
    return _info(self, image=_features.Image(shape=(6, 8, 3)))

  def _split_generators(self, manager):
    return {'train': self._generate_examples(1),
            'validation': self._generate_examples(TEST - 1)}

  def _generate_examples(self, count):
    for i in range(count):
      yield i, {'image': Image.fromarray(_image(i, 6))}


class GenjaxAges(_Builder):
  """Images with a number that is no class."""

  def _info(self):
    return _info(self, image=_features.Image(shape=(6, 8, 3)),
                 label=_features.Scalar(np.int64))

  def _generate_examples(self, count):
    for i in range(count):
      yield i, {'image': Image.fromarray(_image(i, 6)), 'label': 20 + i}


class GenjaxVectors(_Builder):
  """No images at all."""

  def _info(self):
    return _info(self, x=_features.Tensor(shape=(2,), dtype=np.float32))

  def _generate_examples(self, count):
    for i in range(count):
      yield i, {'x': np.zeros(2, np.float32)}


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  """Small sets prepared as users prepare theirs."""
  path = tmp_path_factory.mktemp('tfds')
  tensorflow_datasets.disable_progress_bar()
  for name in ('genjax_fixed', 'genjax_varied', 'genjax_ages',
               'genjax_vectors', 'genjax_validated'):
    tensorflow_datasets.builder(
        name, data_dir=path, file_format='array_record').download_and_prepare()
  return str(path)


@pytest.mark.parametrize('name, shape', [
    ('mnist', (28, 28, 1)), ('cifar10', (32, 32, 3))])
def test_tfds_reads_stock_sets(name, shape):
  with tensorflow_datasets.testing.mock_data(num_examples=7):
    source = tfds.tfds_source(name, 'train')
    assert sources.describe(source)[:2] == (7, shape)
    assert len(source.class_names) == 10
    item = source[3]
    assert set(item) == {'image', 'label'}
    assert item['image'].dtype == np.uint8 and 0 <= item['label'] < 10
    (batch,) = itertools.islice(pipeline.batches(source, 4, seed=0), 1)
  chex.assert_shape(batch['x'], (4, *shape))
  assert np.abs(batch['x']).max() <= 1


def test_tfds_tests_with_validation_data_where_there_are_no_others(data_dir):
  """As of ImageNet; where there are test data, they are what is meant."""
  names = 'genjax_validated', 'genjax_fixed'
  lengths = [len(tfds.tfds_source(name, 'test', data_dir)) for name in names]
  assert lengths == [TEST - 1, TEST]


def test_tfds_says_that_a_number_is_no_class(data_dir, caplog):
  source = tfds.tfds_source('genjax_ages', 'train', data_dir)
  assert source.class_names == () and set(source[0]) == {'image'}
  (line,) = [text for text in (r.getMessage() for r in caplog.records)
             if 'left out' in text]
  assert "'label' of 'genjax_ages'" in line and '\n' not in line


def test_tfds_reads_what_was_written(data_dir):
  source = tfds.tfds_source('genjax_fixed', 'train', data_dir)
  assert sources.describe(source) == (TRAIN, (6, 8, 3), ('cat', 'dog'))
  # Preparation shuffles; every example comes once, with its own label.
  items = [source[i] for i in range(TRAIN)]
  assert all(set(item) == {'image', 'label'} for item in items)
  values = [int(item['image'][0, 0, 0]) for item in items]
  assert sorted(values) == list(range(TRAIN))
  for value, item in zip(values, items):
    np.testing.assert_array_equal(item['image'], _image(value, 6))
    assert item['label'] == value % 2


def test_tfds_slices_are_disjoint(data_dir):
  parts = [tfds.tfds_source('genjax_fixed', split, data_dir)
           for split in ('train[:75%]', 'train[75%:]')]
  assert [len(p) for p in parts] == [9, 3]
  values = [int(p[i]['image'][0, 0, 0]) for p in parts for i in range(len(p))]
  assert sorted(values) == list(range(TRAIN))


def test_tfds_resamples_images_of_several_sizes(data_dir):
  source = tfds.tfds_source('genjax_varied', 'test', data_dir, size=(4, 4))
  assert sources.describe(source) == (TEST, (4, 4, 3), ())
  values = []
  for i in range(TEST):
    item = source[i]
    assert set(item) == {'image'}
    values.append(int(item['image'][0, 0, 0]))
    np.testing.assert_array_equal(
        item['image'],
        image_files.fit(Image.fromarray(_image(values[-1], 6)), (4, 4), 3))
  assert sorted(values) == list(range(TEST))


@pytest.mark.parametrize('name, split, match', [
    ('no_such_set', 'train', "name must be a set of .* got 'no_such_set'$"),
    ('bad name', 'train', "name must be set.* got 'bad name'"),
    ('genjax_fixed:9.0.0', 'train', 'cannot be loaded at version 9.0.0'),
    ('genjax_fixed', 'valid', "one of train, test or .* got 'valid'$"),
    ('genjax_vectors', 'train', r"must have a feature 'image'.* x \(2,\)$"),
    ('genjax_varied', 'train', 'differ in size: image_size must be given'),
    ('mnist', 'train', r'run once python -c "import tensorflow_datasets as '
     r"tfds; tfds.builder\('mnist', file_format='array_record', data_dir='.*'"
     r'\).download_and_prepare\(\)" \(stock sets need pip install '
     r'tensorflow-cpu'),
])
def test_tfds_refuses_in_one_line(data_dir, name, split, match):
  with pytest.raises(ValueError, match='^tfds_source: .*' + match) as error:
    tfds.tfds_source(name, split, data_dir)
  assert '\n' not in str(error.value)


def test_tfds_refuses_missing_labels(data_dir):
  source = tfds.tfds_source('genjax_fixed', 'test', data_dir)
  with pytest.raises(ValueError, match='the split must have labels'):
    source[0]


def _cut(path):
  content = path.read_bytes()
  path.write_bytes(content[:len(content) // 2])


def _swap(path):
  path.write_bytes(
      pathlib.Path(str(path).replace('train', 'test')).read_bytes())


@pytest.mark.parametrize('damage, found', [
    (_cut, 0), (_swap, TEST), (lambda p: p.unlink(), 0)])
def test_tfds_counts_the_records_in_the_files(tmp_path, damage, found):
  # `len` comes from the metadata, and is right whatever the files hold.
  builder = tensorflow_datasets.builder(
      'genjax_fixed', data_dir=tmp_path, file_format='array_record')
  builder.download_and_prepare()
  (path,) = tmp_path.glob('genjax_fixed/1.0.0/*train*')
  damage(path)
  assert len(builder.as_data_source('train')) == TRAIN
  with pytest.raises(ValueError, match=f'{TRAIN} examples.* got {found}$'):
    tfds.tfds_source('genjax_fixed', 'train', str(tmp_path))
  assert len(tfds.tfds_source('genjax_fixed', 'test', str(tmp_path))) == TEST
