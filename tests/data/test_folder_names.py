"""Laws of names as folders: one for each name, below where it is put."""

import itertools
import ntpath
import os
import posixpath

from hypothesis import given
from hypothesis import strategies
import pytest

from genjax.data import folder_names

# Of somebody's data, and what they come from or would do.
NAMES = (
    '', '.', '..', '...', ' ', '/', '/a/abbey', '../../x', 'a/b', 'a\\b',
    'C:\\x', 'C:', 'a\nb', 'a\0b', 'a\u2028b', 'a.', 'a ', '.git', '__MACOSX',
    '__macosx', 'Thumbs.db', '._x', '50%', '%', '%2F', '%2f', '%41', '%empty',
    '%25empty', '%~', 'a?b*', 'a|b', 'a<b>', 'a"b', '\udcff', '\ud800',
    '\U0001f408\u200d\u2b1b', '~', '-rf', '$HOME', 'flags.json', 'x' * 200)
LONG = ('x' * 201, 'x' * 300, 'x' * 299 + 'y', '/' * 100, '\u732b' * 90)


# Of any characters: halves of surrogate pairs too, as file names may hold.
TEXT = strategies.text(strategies.characters(), max_size=300)


def check_is_part_of_a_path(name):
  folder = folder_names.to_folder(name)
  for flavour in (posixpath, ntpath):
    for top in ('out', '/out'):
      path = flavour.normpath(flavour.join(top, folder))
      assert flavour.dirname(path) == flavour.normpath(top)
      assert flavour.basename(path) == folder
  assert folder.isprintable() and folder[-1] not in '. '
  assert not folder_names.is_hidden(folder)
  assert len(os.fsencode(folder)) <= 200


@pytest.mark.parametrize('name', NAMES + LONG, ids=ascii)
def test_a_folder_is_one_visible_part_of_a_path(name):
  check_is_part_of_a_path(name)


@given(TEXT)
def test_a_folder_of_any_text_is_one_visible_part_of_a_path(name):
  check_is_part_of_a_path(name)


@given(TEXT, TEXT)
def test_of_any_two_names_each_has_its_own_folder(one, other):
  folders = [folder_names.to_folder(name) for name in (one, other)]
  assert (folders[0] == folders[1]) == (one == other)
  if '%~' not in folders[0]:  # the name was short enough to be kept whole
    assert folder_names.from_folder(folders[0]) == one


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_from_folder_inverts_to_folder(name):
  assert folder_names.from_folder(folder_names.to_folder(name)) == name


def test_names_of_a_few_letters_all_have_folders_of_their_own():
  letters = '%/.2F \udcff'
  names = [''.join(word) for n in range(5)
           for word in itertools.product(letters, repeat=n)]
  folders = [folder_names.to_folder(name) for name in names]
  assert len(set(folders)) == len(names)
  assert [folder_names.from_folder(folder) for folder in folders] == names


def test_names_too_long_for_a_folder_are_told_apart():
  folders = {folder_names.to_folder(name) for name in NAMES + LONG}
  assert len(folders) == len(NAMES + LONG)
  for name in LONG:
    folder = folder_names.to_folder(name)
    assert folder_names.from_folder(folder) == folder  # and no other name


@pytest.mark.parametrize('name', [
    'cat', 'Cat', '7', 'n01440764', 'polar bear', "cat's", 'a-b_c+d(e)', 'x.y',
    'caf\u00e9', '\u732b', '\U0001f408'])
def test_an_ordinary_name_is_its_own_folder(name):
  assert folder_names.to_folder(name) == name
  assert folder_names.from_folder(name) == name


@pytest.mark.parametrize('folder', ['50%', '%41', '%2f', '%zz',
                                    '%FF', '\udcff', '%'])
def test_folders_that_no_name_is_written_as_are_their_own_name(folder):
  assert folder_names.from_folder(folder) == folder
