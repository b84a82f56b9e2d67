"""Latent spaces in two dimensions: codes by class, and how sure they are."""

from typing import NamedTuple, Sequence

import numpy as np

from genjax.viz import classifiers
from genjax.viz import figures

_ANGLES = np.linspace(0, 2 * np.pi, 61)
_NAMED = 20  # classes up to which there is a legend


class Ellipses(NamedTuple):
  """Some codes with the spread of their posteriors."""

  centre: np.ndarray  # [M, 2]
  covariance: np.ndarray  # [M, 2, 2]
  label: np.ndarray  # int [M]


def outlines(ellipses: Ellipses) -> np.ndarray:
  """Points one standard deviation from each centre in its metric: [M, A, 2]."""
  circle = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)
  values, vectors = np.linalg.eigh(ellipses.covariance)
  # Where there is one dimension only, the other variance may round below 0.
  root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
  return ellipses.centre[:, None] + circle @ np.swapaxes(root, 1, 2)


def save_latents(
    path: str, codes: classifiers.Map, ellipses: Ellipses,
    class_names: Sequence[str], title: str
) -> None:
  """Writes codes coloured by class, with posterior ellipses of some, as a PNG.

  Args:
    path: of the PNG.
    codes: in two dimensions; without classes all labels are 0.
    ellipses: see `outlines`.
    class_names: empty without classes.
    title: of the figure.
  """
  colours = classifiers.class_colours(max(len(class_names), 1))
  figure = figures.new(6.4, 5.6)
  axis = figure.subplots()
  for k in np.unique(codes.label):
    axis.plot(*codes.x[codes.label == k].T, '.', ms=5, mew=0, alpha=0.7,
              color=colours[k],
              label=class_names[k] if len(class_names) else None)
  for outline, k in zip(outlines(ellipses), ellipses.label):
    axis.plot(*outline.T, color=colours[k], lw=1)
  axis.set_title(title, fontsize=10)
  axis.set_xlabel(codes.names[0], fontsize=9)
  axis.set_ylabel(codes.names[1], fontsize=9)
  axis.set_aspect('equal', adjustable='datalim')
  axis.tick_params(labelsize=8)
  axis.grid(True, alpha=0.25)
  axis.set_axisbelow(True)
  if 0 < len(class_names) <= _NAMED:
    figure.legend(loc='outside right upper', fontsize=8, markerscale=2,
                  frameon=False)
  figures.save(path, figure)
