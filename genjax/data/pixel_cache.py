"""Decoded images of a folder, kept on disk from one start to the next.

A file of the cache is an array of numpy's format, uint8 [N, H, W, C] or uint16
[N, H, W, 1], which is mapped into memory, and the sha256 of it behind. It is
called by what it was made of, written beside and renamed: a kill leaves no half
of one, and of two processes that write the same either wins.
"""

import contextlib
import hashlib
import os
import time
from typing import Iterable

from absl import logging
import numpy as np
import PIL

from genjax import user_cache
from genjax.data.identity import Files

_VERSION = 1  # rises where a file is decoded to other pixels
_DIGEST = hashlib.sha256().digest_size
_STALE = 3600  # seconds after which what was not renamed never will be


def key_of(
    names: Iterable[str], files: Files, size: tuple[int, int],
    channels: int | None, bits: int | None
) -> str:
  """The name in the cache of what some files are decoded to.

  Args:
    names: of the files, in the order of the images.
    files: their sizes, times and digests.
    size: height and width of the images in pixels.
    channels: that are asked for; None where the files decide.
    bits: of a channel, likewise.
  """
  digest = hashlib.sha256()
  for part in (_VERSION, PIL.__version__, size, channels, bits, *names,
               *sorted(files.items())):
    digest.update(f'{part!r}\n'.encode('utf-8', 'surrogatepass'))
  return digest.hexdigest()


def load(key: str, shape: tuple[int, int, int]) -> np.ndarray | None:
  """The images of a key, [N, H, W, C], read when they are asked for.

  Of no image where no pixels were kept. None where there is no such file; a
  damaged one is none, and a line in the log.

  Args:
    key: of `key_of`.
    shape: N, H and W.
  """
  path = _path(key)
  if not os.path.exists(path):
    return None
  try:
    pixels = np.asarray(np.load(path, mmap_mode='r', allow_pickle=False))
    with open(path, 'rb') as file:
      file.seek(-_DIGEST, os.SEEK_END)
      whole = file.read() == _digest(key, pixels)
  except Exception:  # of almost any type, on what is half an array
    whole = False
  if not whole or pixels.shape[:3] not in (shape, (0, *shape[1:])):
    logging.warning('the cached images %r are damaged: they are decoded again',
                    path)
    return None
  with contextlib.suppress(OSError):
    os.utime(path)  # the last to be dropped
  return pixels


def save(key: str, pixels: np.ndarray, most: int) -> None:
  """Keeps images, and drops those not used for longest.

  Where they cannot be written a line in the log says so, and nothing is lost
  but the time of decoding them at the next start.

  Args:
    key: of `key_of`.
    pixels: [N, H, W, C], or [0, H, W, C] to keep C and the type alone.
    most: bytes that all of the cache may take.
  """
  path = _path(key)
  partial = f'{path}.{os.getpid()}.partial'
  try:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(partial, 'wb') as file:
      np.save(file, pixels, allow_pickle=False)
      file.write(_digest(key, pixels))
    os.replace(partial, path)
  except OSError as error:
    logging.warning('decoded images cannot be kept for the next start, and '
                    'stay in memory: %s', error)
    with contextlib.suppress(OSError):
      os.remove(partial)
    return
  _trim(path, most)


def _trim(newest: str, most: int) -> None:
  """Bounds the folder of `newest`, which stays, and clears what was killed."""
  folder = os.path.dirname(newest)
  kept = []
  with contextlib.suppress(OSError):  # another process may be quicker
    for entry in os.scandir(folder):
      status = entry.stat()
      if entry.name.endswith('.npy') and entry.path != newest:
        kept.append((status.st_mtime_ns, status.st_size, entry.path))
      elif (entry.name.endswith('.partial')
            and status.st_mtime < time.time() - _STALE):
        os.remove(entry.path)
  total = os.path.getsize(newest)
  for _, size, path in sorted(kept, reverse=True):
    total += size
    if total > most:
      with contextlib.suppress(OSError):
        os.remove(path)


def _path(key: str) -> str:
  return os.path.join(user_cache.folder(), 'images', f'{key}.npy')


def _digest(key: str, pixels: np.ndarray) -> bytes:
  digest = hashlib.sha256(f'{key} {pixels.dtype} {pixels.shape}'.encode())
  digest.update(np.ascontiguousarray(pixels).data)
  return digest.digest()
