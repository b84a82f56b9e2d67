"""Any name as the name of one folder, and back.

The names of classes come out of somebody's data: "/a/abbey", "..", "".
Every path that holds one goes through `to_folder`, and so stays where it was
meant to be; reading takes it back by `from_folder`.
"""

import hashlib
from urllib.parse import unquote_to_bytes

# What separates, or what some file system does not take.
_UNSAFE = frozenset('%/\\<>:"|?*')
_EMPTY = '%empty'
_LONGEST = 200  # bytes; file systems take 255, some that encrypt take less
_KEPT = 120  # of a longer name, for the eye

# What systems leave beside the files of people; never a class, never an image.
_LITTER = frozenset(('__macosx', 'thumbs.db', 'desktop.ini', '$recycle.bin',
                     'system volume information', '@eadir'))


def is_hidden(name: str) -> bool:
  """Whether a file or folder of this name is no data, but a system's own."""
  return name.startswith('.') or name.lower() in _LITTER


def to_folder(name: str) -> str:
  """The name of one folder for `name`, another for every other name.

  An ordinary name is its own. As in URLs (RFC 3986, section 2.1) a byte of
  UTF-8 becomes % and two hexadecimal digits: of separators and of what is not
  printable anywhere, and of a dot or a space at an end and of the first letter
  of hidden names where it stands. What is longer than 200 bytes then is cut,
  and told apart by its sha256.
  """
  if not name:
    return _EMPTY
  coded = ''.join(_code(c) if c in _UNSAFE or not c.isprintable() else c
                  for c in name)
  if is_hidden(coded):
    coded = _code(coded[0]) + coded[1:]
  if coded[-1] in '. ':
    coded = coded[:-1] + _code(coded[-1])
  if len(coded.encode()) > _LONGEST:
    kept = coded.encode()[:_KEPT].decode(errors='ignore')
    digest = hashlib.sha256(_bytes(name)).hexdigest()
    return f'{kept}%~{digest[:32]}'
  return coded


def from_folder(folder: str) -> str:
  """The name that `to_folder` made `folder` of; other folders' is their own.

  Of a name that was cut nothing but `folder` itself is left.
  """
  if folder == _EMPTY:
    return ''
  try:
    name = unquote_to_bytes(_bytes(folder)).decode('utf-8', 'surrogatepass')
  except UnicodeDecodeError:
    return folder
  return name if to_folder(name) == folder else folder


def _code(character: str) -> str:
  return ''.join(f'%{byte:02X}' for byte in _bytes(character))


def _bytes(name: str) -> bytes:
  # File names of other bytes than UTF-8 reach Python as lone surrogates.
  return name.encode('utf-8', 'surrogatepass')
