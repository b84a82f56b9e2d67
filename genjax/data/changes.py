"""Small changes of images, by which a distance between images is judged."""

from typing import Callable, Mapping

import numpy as np
import scipy.ndimage


def _shift(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  del rng
  return np.pad(x[:, :, :-1], [(0, 0), (0, 0), (1, 0), (0, 0)], 'edge')


def _rotate(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  del rng
  return scipy.ndimage.rotate(x, 15, axes=(2, 1), reshape=False, order=1,
                              mode='nearest')


# (x [N, H, W, C] in [-1, 1], a generator) -> x; the range of pixels is 2.
CHANGES: Mapping[str, Callable[..., np.ndarray]] = {
    'shift, 1 pixel': _shift,
    'rotation, 15°': _rotate,
    'noise, 10 %': lambda x, rng: x + rng.normal(0, 0.2, x.shape),
    'brightness, +10 %': lambda x, rng: x + 0.2,
}


def change(x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
  """Images [N, H, W, C] in [-1, 1] after each of CHANGES, clipped, by name."""
  return {name: np.clip(do(x, rng), -1, 1).astype(np.float32)
          for name, do in CHANGES.items()}
