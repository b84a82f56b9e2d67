"""Data as a model is given them, made into pictures for the figures."""

import numpy as np

from genjax.data import pipeline
from genjax.types import Shape
from genjax.viz.signals import curves


def pictures(x: np.ndarray, shape: Shape) -> np.ndarray:
  """Images or signals as pictures uint8 [..., H, W, 1, 3 or 4].

  What is beyond [-1, 1] is as bright or as dark as its ends. Images of another
  number of channels show the first one in grey; signals become curves.

  Args:
    x: [..., *shape], in [-1, 1].
    shape: of one: (H, W, C) or (L, C).
  """
  lead = x.shape[:x.ndim - len(shape)]
  flat = x.reshape(-1, *shape)
  if len(shape) == 2:
    found = curves(flat)
  else:
    found = pipeline.to_uint8(
        flat if shape[-1] in (1, 3, 4) else flat[..., :1])
  return found.reshape(*lead, *found.shape[1:])
