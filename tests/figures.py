"""What was drawn into a figure, told from axes on which nothing was."""

from matplotlib import colors
import numpy as np
from PIL import Image

# Of a figure that is nothing but axes, titles and legends, at most.
BARE = 0.06


def ink(path, color=None):
  """Share of the pixels that are not white, or that are tinted in a colour."""
  with Image.open(path) as image:
    pixels = np.asarray(image.convert('RGB'), int)
  if color is None:
    return float(np.mean(np.any(pixels < 250, -1)))
  pixels, wanted = 255 - pixels, 255 * (1 - np.array(colors.to_rgb(color)))
  strength = pixels @ wanted / (wanted @ wanted)
  away = np.abs(pixels - strength[..., None] * wanted).max(-1)
  return float(np.mean((strength > 0.3) & (away < 24)))
