"""Which files of a folder are images and classes, and what becomes of others.
"""

import os
import pathlib
import re

import numpy as np
from PIL import Image
import pytest

from genjax.data import folder


@pytest.fixture
def save(tmp_path):
  """save(name) writes a small image of a grey level of its own."""
  levels = iter(range(10, 250, 10))

  def call(name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 4, 3), next(levels), np.uint8)
    Image.fromarray(pixels).save(path, 'PNG')
    return path

  return call


def _names(source, top):
  """(class, path below `top`) of every element."""
  names = [os.path.relpath(file, top) for file in source.files]
  if not source.labels:
    return names
  return [(source.class_names[k], n) for k, n in zip(source.labels, names)]


def test_links_are_followed_to_files_and_folders(save, tmp_path):
  save('data/cat/a.png'), save('store/b.png'), save('store/deep/c.png')
  (tmp_path / 'data' / 'cat' / 'more').symlink_to(tmp_path / 'store')
  (tmp_path / 'data' / 'cat' / 'd.png').symlink_to('a.png')
  (tmp_path / 'data' / 'dog').symlink_to(tmp_path / 'store')
  (tmp_path / 'link').symlink_to('data')
  source = folder.folder_source(tmp_path / 'link', 4)
  assert _names(source, tmp_path / 'link') == [
      ('cat', 'cat/a.png'), ('cat', 'cat/d.png'), ('cat', 'cat/more/b.png'),
      ('cat', 'cat/more/deep/c.png'), ('dog', 'dog/b.png'),
      ('dog', 'dog/deep/c.png')]


@pytest.mark.parametrize('target', ['.', '..', '../..'])
def test_links_back_do_not_go_round(save, tmp_path, target):
  save('data/cat/in/a.png'), save('data/dog/b.png')
  (tmp_path / 'data' / 'cat' / 'in' / 'back').symlink_to(target)
  source = folder.folder_source(tmp_path / 'data', 4)
  files = [os.path.realpath(file) for file in source.files]
  assert files == [str(tmp_path / 'data' / name)
                   for name in ('cat/in/a.png', 'dog/b.png')]


@pytest.mark.parametrize('link, target', [
    ('cat/c.png', '/nowhere.png'), ('cat/c.png', 'c.png'),
    ('cat/more', '/nowhere'), ('dog', '/nowhere'), ('cat/note', '/nowhere')])
def test_a_link_to_nothing_is_named(save, tmp_path, link, target):
  save('cat/a.png')
  (tmp_path / link).symlink_to(target)
  for verify in (True, False):
    with pytest.raises(ValueError, match='must lead to') as error:
      folder.folder_source(tmp_path, 4, verify=verify)
    assert repr(str(tmp_path / link)) in str(error.value)


@pytest.mark.parametrize('closed', ['.', 'cat', 'cat/deep'])
def test_a_folder_that_cannot_be_read_is_named(
    save, tmp_path, monkeypatch, closed):
  save('cat/a.png'), save('cat/deep/b.png')
  inner = pathlib.Path.iterdir

  def iterdir(path):  # root, who may run the tests, can read any
    if path == tmp_path / closed:
      raise PermissionError(13, 'Permission denied', str(path))
    return inner(path)

  monkeypatch.setattr(pathlib.Path, 'iterdir', iterdir)
  with pytest.raises(ValueError, match='must be readable, got Permission'
                     ) as error:
    folder.folder_source(tmp_path, 4)
  assert repr(str(tmp_path / closed)) in str(error.value)


def test_what_systems_leave_is_no_class_and_no_image(save, tmp_path):
  save('cat/a.png'), save('dog/b.PNG')
  for name in ('__MACOSX/cat/a.png', '.git/x.png', 'cat/._a.png',
               'cat/__MACOSX/c.png', '.DS_Store', 'cat/Thumbs.db',
               'dog/desktop.ini', '@eaDir/cat/a.png'):
    save(name)
  source = folder.folder_source(tmp_path, 4)
  assert _names(source, tmp_path) == [('cat', 'cat/a.png'),
                                      ('dog', 'dog/b.PNG')]


@pytest.mark.parametrize('others, said', [
    ([], None),
    (['cat/.hidden', 'dog/Thumbs.db'], None),
    (['cat/b.webp'], 'left out of .*: cat/b.webp$'),
    (['README', 'cat/b.gif', 'cat/deep/c.jfif', 'dog/x.tif'],
     'left out of .*: README, cat/b.gif, cat/deep/c.jfif and 1 more$'),
])
def test_files_left_out_are_said(save, tmp_path, caplog, others, said):
  save('cat/a.JPG'), save('dog/a.pNg')
  for name in others:
    save(name)
  source = folder.folder_source(tmp_path, 4)
  assert len(source) == 2
  lines = [record.getMessage() for record in caplog.records]
  assert len(lines) == (said is not None)
  assert all(re.search(said, line) for line in lines)


def test_what_is_called_an_image_is_a_regular_file(save, tmp_path):
  save('a.png')
  os.mkfifo(tmp_path / 'b.png')  # to be waited for
  with pytest.raises(ValueError, match="regular files, got .*/b.png'"):
    folder.folder_source(tmp_path, 4)
  os.remove(tmp_path / 'b.png')
  source = folder.folder_source(tmp_path, 4)
  os.remove(tmp_path / 'a.png')
  os.mkfifo(tmp_path / 'a.png')
  with pytest.raises(ValueError, match="a.png', got no regular file"):
    source[0]


def test_a_name_with_a_newline_does_not_cut_the_message(save, tmp_path):
  path = save('a\nb/c\nd.png')
  assert folder.folder_source(tmp_path, 4).class_names == ('a\nb',)
  path.write_bytes(path.read_bytes()[:40])
  with pytest.raises(ValueError) as error:
    folder.folder_source(tmp_path, 4)
  assert '\n' not in str(error.value) and repr(str(path)) in str(error.value)
  (tmp_path / 'e\nf').mkdir()
  with pytest.raises(ValueError, match='must hold images') as error:
    folder.folder_source(tmp_path, 4, verify=False)
  assert '\n' not in str(error.value) and r'e\nf' in str(error.value)


def test_classes_are_read_as_they_are_written(save, tmp_path):
  for name in ('%2Fa', 'b', '%empty', '50%'):
    save(f'{name}/x.png')
  source = folder.folder_source(tmp_path, 4)
  assert source.class_names == ('', '/a', '50%', 'b')
  assert source.labels == (0, 1, 2, 3)
  save('50%25/y.png')  # another way to write what has been read
  with pytest.raises(ValueError, match="class of its own, got two .* '50%'"):
    folder.folder_source(tmp_path, 4)
