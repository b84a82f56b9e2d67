"""What classifiers decide, how sure they are, and what their features hold."""

from typing import NamedTuple, Sequence

import numpy as np
from PIL import Image

from genjax.viz import figures
from genjax.viz.images import save_gif

# Okabe and Ito's colours, which the colour-blind tell apart, with a darker
# yellow, and two more.
_COLOURS = np.array([
    [0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167],
    [86, 180, 233], [213, 94, 0], [200, 180, 20], [90, 90, 90], [120, 60, 20],
    [150, 130, 220]]) / 255

_NUMBERS = 12  # classes up to which a confusion matrix has numbers on it
_LABELS = 20  # and names beside it


class Map(NamedTuple):
  """Examples in two dimensions, by class."""

  x: np.ndarray  # [N, 2]
  label: np.ndarray  # int [N]
  names: tuple[str, str]  # of the axes


class Reliability(NamedTuple):
  """How often a classifier is right, by how sure it is: bins [B]."""

  confidence: np.ndarray
  accuracy: np.ndarray
  number: np.ndarray  # of examples
  error: float  # expected calibration error


class Spectrum(NamedTuple):
  """Principal variances of one description of the same examples."""

  name: str
  variances: np.ndarray  # [R], decreasing
  dimension: float  # the effective one


def save_boundary(
    path: str, points: np.ndarray, label: np.ndarray,
    probabilities: np.ndarray, limit: float, features: np.ndarray,
    names: tuple[str, str], title: str
) -> None:
  """Writes the decision over the plane beside the hidden features.

  Args:
    path: of the PNG.
    points: [N, 2].
    label: int [N].
    probabilities: [M, M, K] on an even mesh of [-limit, limit]^2, rows along
      the second coordinate.
    limit: half-width of the map.
    features: [N, 2].
    names: of the two axes of the features.
    title: of the figure.
  """
  colours = class_colours(probabilities.shape[-1])
  figure = figures.new(8.4, 4.2)
  figure.suptitle(title, fontsize=11)
  left, right = figure.subplots(1, 2)
  shown = 0.45 * probabilities @ colours + 0.55
  extent = (-limit, limit, -limit, limit)
  left.imshow(np.clip(shown, 0, 1), origin='lower', extent=extent,
              interpolation='bilinear')
  if probabilities.shape[-1] > 1:
    line = np.linspace(-limit, limit, len(probabilities))
    ordered = np.sort(probabilities, axis=-1)
    # Zero where the two likeliest classes are as likely.
    said = probabilities.argmax(-1)
    margin = ordered[..., -1] - ordered[..., -2]
    for k in range(probabilities.shape[-1]):
      left.contour(line, line, np.where(said == k, margin, -margin), [0],
                   colors='black', linewidths=0.8)
  _scatter(left, points, label, colours)
  left.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect='equal')
  left.set_title('decision boundary', fontsize=10)
  left.set_xlabel('$x_1$', fontsize=9)
  left.set_ylabel('$x_2$', fontsize=9)
  _features(right, Map(features, label, names), colours)
  right.set_title('hidden features', fontsize=10)
  figures.save(path, figure)


def save_classifier(
    path: str, class_names: Sequence[str], confusion: np.ndarray,
    reliability: Reliability, features: Map, spectra: Sequence[Spectrum]
) -> None:
  """Writes a confusion matrix, a reliability diagram, features and spectra.

  Args:
    path: of the PNG.
    class_names: [K].
    confusion: int [K, K], examples by true class and by class said.
    reliability: of the same examples.
    features: of some, in two dimensions.
    spectra: whose cumulative shares of variance are compared.
  """
  figure = figures.new(10, 8.6)
  (first, second), (third, fourth) = figure.subplots(2, 2)
  _confusion(first, confusion, class_names)
  _reliability(second, reliability)
  colours = class_colours(len(class_names))
  _features(third, features, colours)
  third.set_title('features', fontsize=10)
  for k in np.unique(features.label):
    centre = np.median(features.x[features.label == k], axis=0)
    third.text(*centre, class_names[k], ha='center', va='center', fontsize=9,
               weight='bold', bbox=dict(boxstyle='circle,pad=0.15', alpha=0.7,
                                        facecolor='white', edgecolor='none'))
  _spectra(fourth, spectra)
  figures.save(path, figure)


def save_animation(path: str, frames: Sequence[str]) -> None:
  """Writes PNG files of one size, in order, as a GIF that goes on for ever."""
  pictures = []
  for frame in frames:
    with Image.open(frame) as picture:
      rgb = picture.convert('RGB')
      pictures.append(np.asarray(rgb.resize((rgb.width * 2 // 3,
                                             rgb.height * 2 // 3))))
  save_gif(path, pictures, milliseconds=200, hold=2000)


def class_colours(num: int) -> np.ndarray:
  """A colour for each of `num` classes, [num, 3]."""
  if num <= len(_COLOURS):
    return _COLOURS[:num]
  return figures.shades(num)[:, :3]


def _scatter(axis, points, label, colours):
  axis.scatter(*points.T, s=7, c=colours[label], edgecolors='white',
               linewidths=0.25)


def _features(axis, features: Map, colours):
  _scatter(axis, features.x, features.label, colours)
  axis.set_xlabel(features.names[0], fontsize=9)
  axis.set_ylabel(features.names[1], fontsize=9)
  axis.tick_params(labelsize=8)
  axis.grid(True, alpha=0.25)
  axis.set_axisbelow(True)


def _confusion(axis, count, class_names):
  of_class = np.maximum(count.sum(1, keepdims=True), 1)
  axis.imshow(count / of_class, cmap='Blues', vmin=0, vmax=1)
  num = len(count)
  if num <= _NUMBERS:
    for i, j in zip(*np.nonzero(count)):
      axis.text(j, i, count[i, j], ha='center', va='center', fontsize=8,
                color='white' if 2 * count[i, j] > of_class[i] else 'black')
  if num <= _LABELS:
    long = max(map(len, class_names)) > 3
    axis.set_xticks(range(num), class_names, fontsize=8,
                    rotation=90 if long else 0)
    axis.set_yticks(range(num), class_names, fontsize=8)
  right = np.trace(count)
  axis.set_title(f'confusion: {right} of {count.sum()} right', fontsize=10)
  axis.set_xlabel('class said', fontsize=9)
  axis.set_ylabel('true class', fontsize=9)


def _reliability(axis, reliability: Reliability):
  axis.plot([0, 1], [0, 1], '--', color=figures.GREY, lw=1, label='calibrated')
  there = reliability.number > 0
  axis.scatter(reliability.confidence[there], reliability.accuracy[there],
               s=12 + 200 * reliability.number[there]
               / reliability.number.sum(),
               color=figures.BLUE, label='examples, by area', zorder=3)
  axis.set_title('reliability: expected calibration error '
                 f'{reliability.error:.3f}', fontsize=10)
  axis.set_xlabel('confidence', fontsize=9)
  axis.set_ylabel('share that is right', fontsize=9)
  axis.set(xlim=(0, 1.02), ylim=(0, 1.04))
  axis.tick_params(labelsize=8)
  axis.grid(True, alpha=0.25)
  axis.legend(fontsize=8, loc='upper left')


def _spectra(axis, spectra: Sequence[Spectrum]):
  for spectrum, colour in zip(spectra, (figures.BLUE, figures.ORANGE)):
    share = np.cumsum(spectrum.variances) / np.sum(spectrum.variances)
    axis.plot(np.arange(1, len(share) + 1), share, '.-', color=colour, lw=1.2,
              ms=4, label=f'{spectrum.name}: effective dimension '
              f'{spectrum.dimension:.1f}')
    axis.axvline(spectrum.dimension, color=colour, lw=1, ls=':')
  axis.set_xscale('log')
  axis.set_title('explained variance', fontsize=10)
  axis.set_xlabel('principal components', fontsize=9)
  axis.set_ylabel('share of the variance', fontsize=9)
  axis.set_ylim(0, 1.04)
  axis.tick_params(labelsize=8)
  axis.grid(True, alpha=0.25)
  axis.legend(fontsize=8, loc='lower right')
