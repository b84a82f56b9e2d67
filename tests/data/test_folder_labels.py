"""Classes of a folder of images from names and from a table."""

from PIL import Image
import pytest

from genjax.data import named
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


def test_a_table_is_part_of_the_data(pictures, tmp_path):
  """A label that changes is seen, and the table is what is named."""
  table = tmp_path / 'x.csv'
  ids, before = set(), {}
  for classes in ('aabbcc', 'aabbca', 'aabbca'):
    source = folder_source(pictures, 4, labels=write(table, rows_of(classes)))
    data_id, files = identify(source, before)
    changed, before = first_change(before, files), files
    ids.add(data_id)
    assert changed == ("another '//x.csv'" if len(ids) == 2 else None) or (
        classes == 'aabbca' and changed is None)
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
    ([], 'name,class', 'columns file,label in its first line, got name,class$'),
    ([], 'file;label', 'columns file,label in its first line, got file;label$'),
    ([], '', 'columns file,label in its first line, got nothing$'),
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
