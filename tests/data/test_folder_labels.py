"""Classes of a folder of images from names and from a table."""

import numpy as np
from PIL import Image
import pytest

from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.data.folder import folder_source
from genjax.data.identity import first_change
from genjax.data.identity import identify

NAMES = ('cat_01.png', 'cat-2.png', 'cat3.png', 'cat (4).png', 'more/dog.png',
         'more/Dog 7.png')


@pytest.fixture(name='pictures')
def make_pictures(tmp_path):
  """A picture of a grey level of its own for each of NAMES."""
  for level, name in enumerate(NAMES):
    path = tmp_path / 'data' / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', (4, 4), level).save(path)
  return tmp_path / 'data'


def write(path, rows, header='file,label'):
  path.write_text('\n'.join([header, *rows]) + '\n')
  return f'csv:{path}'


def rows_of(classes):
  return [f'{name},{label}' for name, label in zip(NAMES, classes)]


def classes_of(source):
  """The class of each of NAMES, found by the level of its pixels."""
  items = [source[i] for i in range(len(source))]
  found = {int(item['image'][0, 0, 0]): source.class_names[item['label']]
           for item in items}
  return [found[level] for level in range(len(NAMES))]


def test_the_beginning_of_a_name_is_a_class(pictures):
  source = folder_source(pictures, 4, labels='prefix')
  assert source.class_names == ('Dog', 'cat', 'dog')
  assert classes_of(source) == ['cat'] * 4 + ['dog', 'Dog']


@pytest.mark.parametrize('cache', [0, 1])
def test_a_table_says_the_classes_in_any_order(pictures, caplog, cache):
  rows = [' more/../more/dog.png , "a, b"', 'cat_01.png,x', 'cat3.png,x', '',
          'cat-2.png,y', './cat (4).png,y', 'more/Dog 7.png,10']
  labels = write(pictures / 'classes.csv', rows)
  source = folder_source(pictures, 4, labels=labels, cache=cache)
  assert source.class_names == ('10', 'a, b', 'x', 'y')
  assert classes_of(source) == ['x', 'y', 'x', 'y', 'a, b', '10']
  assert 'left out' not in caplog.text  # the table is no file to be read


def test_columns_of_a_table_may_stand_in_any_order(pictures, tmp_path):
  labels = write(tmp_path / 'x.csv', [
      ','.join(reversed(row.split(','))) for row in rows_of('abcabc')],
                 '\ufefflabel,file')
  assert classes_of(folder_source(pictures, 4, labels=labels)) == [*'abcabc']


@pytest.mark.parametrize('cache', [0, 1])
@pytest.mark.parametrize('header', ['file,age,label,size', 'file,age,size'])
def test_other_columns_are_numbers_beside_the_images(
    pictures, tmp_path, header, cache):
  """In the order of the columns, in items and batches, and in parts too."""
  rows = [f'{name},{level / 4},' + 'a,' * ('label' in header) + f'{-level}e3'
          for level, name in enumerate(NAMES)]
  labels = write(tmp_path / 'x.csv', rows[::-1], header)
  train, test = named.open_data(f'folder:{pictures}', labels=labels,
                                held_out=0.3, cache=cache)
  assert sources.vector_names(train) == ('age', 'size')
  for source in (train, test):
    batch = pipeline.batch_at(source, 9, 0, seed=1)
    level = pipeline.to_uint8(batch['x'])[:, 0, 0, 0].astype(np.float32)
    vector = batch['cond']['vector']
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(
        vector, np.stack([level / 4, -1e3 * level], 1))
    assert ('label' in batch['cond']) == ('label' in header)
    items = [source[i] for i in range(len(source))]
    np.testing.assert_array_equal(
        sources.vectors_of(source), [item['vector'] for item in items])
    for item in items:
      assert item['vector'][0] == item['image'][0, 0, 0] / 4


def test_a_table_is_part_of_the_data(pictures, tmp_path):
  """A label that changes is seen, and the table is what is named."""
  table = tmp_path / 'x.csv'
  ids, changes, before = set(), [], {}
  for classes in ('aabbcc', 'aabbca', 'aabbca'):
    source = folder_source(pictures, 4, labels=write(table, rows_of(classes)))
    data_id, files = identify(source, before)
    changes.append(first_change(before, files))
    before = files
    ids.add(data_id)
  assert changes == [None, "another 'labels://x.csv'", None]
  assert len(ids) == 2
  plain = identify(folder_source(pictures, 4, labels='prefix'))
  assert plain.data_id not in ids and set(plain.files) == set(NAMES)


@pytest.mark.parametrize('rows, header, said', [
    (rows_of('abcabc')[:4], 'file,label', 'a row for every image, got none for '
     "2 of 6, such as 'more/Dog 7.png'$"),
    ([*rows_of('abcabc'), 'z.png,a'], 'file,label', 'images of the folder '
     "alone, got 1 that are none, such as 'z.png'$"),
    ([*rows_of('abcabc'), 'cat3.png,a'], 'file,label',
     "must hold a file once, got 'cat3.png'$"),
    ([*rows_of('abcab'), 'more/Dog 7.png, '], 'file,label',
     "line 7 must have a label, got 'more/Dog 7.png'$"),
    (['cat3.png'], 'file,label', 'line 2 must have 2 values, got 1$'),
    ([], 'name,class', 'must name its columns .*, got name,class$'),
    ([], 'file;label', 'must name its columns .*, got file;label$'),
    ([], 'file,label,label', 'must name its columns .*, got file,label,label$'),
    ([], 'file,label,', 'must name its columns .*, got file,label,$'),
    ([], 'file', 'must name its columns .*, got file$'),
    ([], '', 'must name its columns .*, got nothing$'),
    (['a.png,old'], 'file,age', "line 2 must hold a number in column 'age': "
     "remove a column of anything else, got 'old'$"),
    (['a.png,1e31'], 'file,age', "line 2 must hold .* got '1e31'$"),
    (['a.png,nan'], 'file,age', "line 2 must hold .* got 'nan'$"),
    (['"cat3.png'], 'file,label', 'must be a table in UTF-8 .*, got '),
    (['\ud800'], 'file,label', 'must be a table in UTF-8 .*, got '),
])
def test_a_table_that_does_not_fit_is_refused_in_one_line(
    pictures, tmp_path, rows, header, said):
  table = tmp_path / 'x.csv'
  table.write_bytes('\n'.join([header, *rows]).encode(
      'utf-8', 'surrogatepass'))
  with pytest.raises(ValueError, match=said) as error:
    folder_source(pictures, 4, labels=f'csv:{table}')
  assert str(error.value).startswith(f"labels: '{table}': ")
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('labels, said', [
    ('csv:/nowhere.csv', "labels: '/nowhere.csv': must be a file, got none"),
    ('csv:', 'labels: must be folders, prefix or csv:<path>, got '),
    ('prefixes', 'labels: must be folders, prefix or csv:<path>, got '),
])
def test_other_ways_to_say_classes_are_refused(pictures, labels, said):
  with pytest.raises(ValueError) as error:
    folder_source(pictures, 4, labels=labels)
  assert str(error.value).startswith(said)


def test_a_name_without_a_class_is_refused(pictures):
  (pictures / 'cat_01.png').rename(pictures / '01.png')
  with pytest.raises(ValueError, match="^labels: prefix .*, got '01.png'"):
    folder_source(pictures, 4, labels='prefix')


def test_labels_reach_a_folder_by_name_and_nothing_else(pictures):
  data = named.open_data(f'folder:{pictures}', labels='prefix', held_out=0.3)
  assert data.description.class_names == ('Dog', 'cat', 'dog')
  for name in ('digits', 'toy:moons', 'npy:x'):
    with pytest.raises(ValueError, match='^labels: must be absent for'):
      named.open_data(name, labels='prefix')
