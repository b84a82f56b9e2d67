"""Two-dimensional sets as pure functions of (key, n).

Each returns n independent draws {'x': float32 [n, 2], 'label': int32 [n]},
laid within about [-2, 2] by constants written here, never by statistics of
the draw: two draws of one set have the same law whatever their sizes.
`noise` is the standard deviation of isotropic Gaussian noise, in units of the
final coordinates unless a function says otherwise.
"""

import math
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_choice
from genjax.checks import check_positive
from genjax.data.sources import ArraySource
from genjax.types import Array
from genjax.types import Key

Draw = dict[str, Array]

_MOONS_CENTRE = (0.5, 0.25)
_MOONS_SCALE = 1.2
_RINGS_RADII = (0.6, 1.2, 1.8)
_SPIRALS_RADIUS = 1.8
_XOR_GAP, _XOR_REACH = 0.2, 1.8
_GAUSSIANS_RADIUS = 1.6
_GAUSSIANS_SCALE = 0.12
_ROLL_SCALE = 1.8 / (4.5 * math.pi)
_CURVE_POINTS = 2**15  # of a set without its noise, for its law
# Standard deviations of the noise of sets around a curve, of moons .05 * 1.2.
_NOISE = {'moons': 0.06, 'rings': 0.05, 'spirals': 0.03, 'swiss_roll': 0.03}


def moons(key: Key, n: int, *, noise: float = 0.05) -> Draw:
  """Two interleaved half circles; the label is the moon, upper 0, lower 1.

  In the classical coordinates the upper moon is (cos a, sin a) and the lower
  (1 - cos a, 1/2 - sin a) with a uniform on [0, pi], plus `noise` in these
  units; then (x - (.5, .25)) 1.2. (scikit-learn's `make_moons` spaces the
  angles evenly, and its points are not independent.)
  """
  key_label, key_angle, key_noise = jax.random.split(key, 3)
  label = jax.random.randint(key_label, (n,), 0, 2)
  angle = jax.random.uniform(key_angle, (n,), maxval=math.pi)
  upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
  lower = jnp.array([1.0, 0.5]) - upper
  x = jnp.where(label[:, None] == 0, upper, lower)
  x = x + noise * jax.random.normal(key_noise, (n, 2))
  return _draw((x - jnp.array(_MOONS_CENTRE)) * _MOONS_SCALE, label)


def rings(key: Key, n: int, *, noise: float = 0.05) -> Draw:
  """Three concentric circles of radius .6, 1.2, 1.8, equally likely."""
  key_label, key_angle, key_noise = jax.random.split(key, 3)
  radii = jnp.array(_RINGS_RADII)
  label = jax.random.randint(key_label, (n,), 0, len(_RINGS_RADII))
  angle = jax.random.uniform(key_angle, (n,), maxval=2 * math.pi)
  x = _polar(radii[label], angle)
  return _draw(x + noise * jax.random.normal(key_noise, (n, 2)), label)


def spirals(key: Key, n: int, *, noise: float = 0.03, turns: float = 1.5
            ) -> Draw:
  """Two Archimedean arms r = 1.8 a / (2 pi turns), turned by half a turn.

  The angle is a = 2 pi turns sqrt(u) with u uniform, so that points lie about
  evenly along an arm; the label is the arm.
  """
  key_label, key_angle, key_noise = jax.random.split(key, 3)
  label = jax.random.randint(key_label, (n,), 0, 2)
  fraction = jnp.sqrt(jax.random.uniform(key_angle, (n,)))
  x = _polar(_SPIRALS_RADIUS * fraction,
             2 * math.pi * turns * fraction + math.pi * label)
  return _draw(x + noise * jax.random.normal(key_noise, (n, 2)), label)


def xor(key: Key, n: int) -> Draw:
  """Uniform on four squares, .2 <= |x_i| <= 1.8, one in each quadrant.

  The label is 0 where both coordinates have one sign, 1 where they differ.
  """
  key_label, key_sign, key_place = jax.random.split(key, 3)
  label = jax.random.randint(key_label, (n,), 0, 2)
  sign = jax.random.rademacher(key_sign, (n,))
  signs = jnp.stack([sign, sign * (1 - 2 * label)], -1)
  place = jax.random.uniform(key_place, (n, 2), minval=_XOR_GAP,
                             maxval=_XOR_REACH)
  return _draw(signs * place, label)


def checkerboard(key: Key, n: int) -> Draw:
  """Uniform on 8 of the 16 unit squares of [-2, 2]^2: density exactly 1/8.

  Square c covers column i = c div 2 and row j = 2 (c mod 2) + i mod 2, that
  is [i - 2, i - 1) x [j - 2, j - 1); the label is c.
  """
  key_label, key_place = jax.random.split(key)
  label = jax.random.randint(key_label, (n,), 0, 8)
  column = label // 2
  row = 2 * (label % 2) + column % 2
  corner = jnp.stack([column, row], -1).astype(jnp.float32) - 2
  return _draw(corner + jax.random.uniform(key_place, (n, 2)), label)


def eight_gaussians_mixture() -> tuple[np.ndarray, np.ndarray, float]:
  """(weights [8], means [8, 2], scale): the exact law of `eight_gaussians`.

  Equal weights, means at radius 1.6 every 45 degrees from (1.6, 0) on, and
  covariance scale^2 I with scale .12. float64.
  """
  angle = 2 * np.pi * np.arange(8) / 8
  means = _GAUSSIANS_RADIUS * np.stack([np.cos(angle), np.sin(angle)], -1)
  return np.full(8, 1 / 8), means, _GAUSSIANS_SCALE


class Uniform(NamedTuple):
  """A law of one density wherever it has any."""

  inside: Callable[[np.ndarray], np.ndarray]  # x [..., 2] -> bool [...]
  area: float


class Gaussians(NamedTuple):
  """Equal Gaussians of covariance scale^2 I."""

  centres: np.ndarray  # [N, 2]
  scale: float


def law(name: str) -> Uniform | Gaussians:
  """The law of the set `name` with the noise that it has unless told another.

  Of a set around a curve the centres are 2^15 draws without the noise.

  Raises:
    ValueError: an unknown name.
  """
  check_choice('law', 'name', name, SETS)
  if name in _UNIFORM:
    return _UNIFORM[name]
  if name == 'eight_gaussians':
    _, means, scale = eight_gaussians_mixture()
    return Gaussians(means, scale)
  return Gaussians(toy_source(name, _CURVE_POINTS, 0, noise=0.0).arrays['x'],
                   _NOISE[name])


def eight_gaussians(key: Key, n: int) -> Draw:
  """Draws from `eight_gaussians_mixture`; the label is the component."""
  key_label, key_noise = jax.random.split(key)
  _, means, scale = eight_gaussians_mixture()
  label = jax.random.randint(key_label, (n,), 0, 8)
  noise = scale * jax.random.normal(key_noise, (n, 2))
  return _draw(jnp.asarray(means, jnp.float32)[label] + noise, label)


def swiss_roll(key: Key, n: int, *, noise: float = 0.03) -> Draw:
  """The section of the Swiss roll: a (cos a, sin a) 1.8 / (4.5 pi).

  The angle a is uniform on [1.5 pi, 4.5 pi]; the label is the half turn,
  (a - 1.5 pi) div pi: 0, 1 or 2 from the inside.
  """
  key_angle, key_noise = jax.random.split(key)
  turns = 3 * jax.random.uniform(key_angle, (n,))
  angle = math.pi * (1.5 + turns)
  x = _polar(_ROLL_SCALE * angle, angle)
  label = jnp.minimum(turns.astype(jnp.int32), 2)
  return _draw(x + noise * jax.random.normal(key_noise, (n, 2)), label)


_UNIFORM = {
    'checkerboard': Uniform(lambda x: (np.abs(x).max(-1) <= 2)
                            & (np.floor(x).sum(-1) % 2 == 0), 8.0),
    'xor': Uniform(lambda x: np.all(np.abs(np.abs(x) - 1) <= 0.8 + 1e-6, -1),
                   10.24),
}

SETS = {
    'moons': moons,
    'rings': rings,
    'spirals': spirals,
    'xor': xor,
    'checkerboard': checkerboard,
    'eight_gaussians': eight_gaussians,
    'swiss_roll': swiss_roll,
}

NUM_CLASSES = {
    'moons': 2,
    'rings': 3,
    'spirals': 2,
    'xor': 2,
    'checkerboard': 8,
    'eight_gaussians': 8,
    'swiss_roll': 3,
}


def toy_source(name: str, n: int, seed: int, **options: Any) -> ArraySource:
  """A draw of n points of the set `name` as a source in memory.

  Args:
    name: One of `SETS`.
    n: Number of points.
    seed: Of `jax.random.key`.
    **options: Of the set, such as `noise`.

  Returns:
    'x' float32 [n, 2] and 'label' int32 [n].

  Raises:
    ValueError: If the name is unknown or a number is out of range.
  """
  check_choice('toy_source', 'name', name, SETS)
  check_positive('toy_source', 'n', n)
  check(seed >= 0, 'toy_source', 'seed must be non-negative', seed)
  noise = options.get('noise', 0.0)
  check(noise >= 0, 'toy_source', 'noise must be non-negative', noise)
  draw = jax.jit(SETS[name], static_argnames='n')
  points = draw(jax.random.key(seed), n=n, **options)
  return ArraySource({k: np.asarray(v) for k, v in points.items()},
                     tuple(map(str, range(NUM_CLASSES[name]))))


def _polar(radius: Array, angle: Array) -> Array:
  """Points [n, 2] at `radius` [n] and `angle` [n]."""
  return radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)


def _draw(x: Array, label: Array) -> Draw:
  return {'x': x, 'label': label.astype(jnp.int32)}
