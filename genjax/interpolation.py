"""Paths between two points of any space, and how long they are when decoded.

A point is an array [*event] of any rank, a path of T points [T, *event], the
first and last of which are its ends. Batches of paths are a `vmap`.
"""

from typing import Callable

import jax
import jax.numpy as jnp
import optax

from genjax.checks import check
from genjax.checks import check_positive
from genjax.checks import check_same_shape
from genjax.numerics import broadcast_right
from genjax.numerics import safe_norm
from genjax.numerics import widen
from genjax.types import Array

_MEMORY = 10  # steps of the descent that tell of the curvature


def lerp(a: Array, b: Array, t: Array) -> Array:
  """The straight line from a to b at shares t of its length.

  Args:
    a, b: [*event].
    t: [*T]; 0 is a and 1 is b, exactly.

  Returns:
    [*T, *event].

  Raises:
    ValueError: ends of unequal shape.
  """
  check_same_shape('lerp', a=a, b=b)
  t = broadcast_right(t, jnp.ndim(t) + jnp.ndim(a))
  return (1 - t) * a + t * b


def slerp(a: Array, b: Array, t: Array) -> Array:
  """The arc from a to b at shares t of its angle.

  Shoemake 1985, https://doi.org/10.1145/325334.325242, for ends of any norm:
  the direction runs along the great circle at constant angular speed, the norm
  linearly. The norm of N(0, I) in many dimensions is nearly constant: on the
  arc, unlike on the line, codes stay where such noise is (White,
  arXiv:1609.04468).

  Where the great circle is not unique this is `lerp`: the same to rounding
  for parallel ends, and a line through the origin, whose norm is not kept, for
  antipodal ends or a zero one.

  Args:
    a, b: [*event].
    t: [*T]; 0 is a and 1 is b, exactly. Outside of [0, 1] this is `lerp`.

  Returns:
    [*T, *event].

  Raises:
    ValueError: ends of unequal shape.
  """
  line = lerp(a, b, t)
  dtype = jnp.result_type(line, 0.0)
  # In 16 bits the directions would be coarser than the path.
  a, b, t, line = map(widen, (a, b, t, line))
  norm_a, norm_b = safe_norm(jnp.ravel(a)), safe_norm(jnp.ravel(b))
  u, v = (x / jnp.where(norm > 0, norm, 1.0)
          for x, norm in ((a, norm_a), (b, norm_b)))
  # Kahan's angle, precise where the arc cosine is not. Half the digits of the
  # circle's plane are lost where the sine is as small as this.
  apart, together = safe_norm(jnp.ravel(u - v)), safe_norm(jnp.ravel(u + v))
  defined = (apart * together > 2 * jnp.finfo(line.dtype).eps**0.5) & (
      norm_a > 0) & (norm_b > 0)
  angle = 2 * jnp.arctan2(jnp.where(defined, apart, 1.0),
                          jnp.where(defined, together, 1.0))
  t = broadcast_right(t, line.ndim)
  direction = (jnp.sin((1 - t) * angle) * u + jnp.sin(t * angle) * v) / (
      jnp.sin(angle))
  arc = lerp(norm_a, norm_b, t) * direction
  return jnp.where(defined & (t > 0) & (t < 1), arc, line).astype(dtype)


def normal_grid(num: int) -> Array:
  """Quantiles of the standard normal in the plane, as a picture: [N, N, 2].

  Even in probability at the middles of N strips: Kingma & Welling,
  arXiv:1312.6114, figure 4. The first coordinate grows to the right, the second
  one upwards, from the last row to the first.

  Raises:
    ValueError: num is not positive.
  """
  check_positive('normal_grid', 'num', num)
  z = jax.scipy.special.ndtri((jnp.arange(num) + 0.5) / num)
  return jnp.stack(jnp.meshgrid(z, z[::-1]), axis=-1)


def length(path: Array) -> Array:
  """Length of the path [T, *event] as a polyline, in the unit of its points."""
  steps = jnp.diff(widen(path), axis=0)  # bytes would wrap around
  return jnp.sum(safe_norm(steps, axis=tuple(range(1, steps.ndim))))


def energy(path: Array) -> Array:
  """Energy (T - 1) sum |step|^2 of the path [T, *event].

  No less than the squared length, and equal to it at constant speed.
  """
  return (len(path) - 1) * jnp.sum(
      jnp.square(jnp.diff(widen(path), axis=0)))


def geodesic(
    decode: Callable[[Array], Array], a: Array, b: Array, *, num_points: int,
    num_steps: int = 100
) -> Array:
  """A path from a to b that is short when decoded: a discrete geodesic.

  The codes between the ends minimise the energy of the decoded path, a
  discrete geodesic of the metric that `decode` pulls back to its codes: Shao et
  al., arXiv:1711.08014, algorithm 1; Arvanitidis et al., arXiv:1710.11379. By
  L-BFGS from the straight line, over the steps between codes instead of the
  codes: over them the energy of a linear isometry is curved alike in every
  direction, at any number of points. Of the result and the line the one with
  the shorter decoded polyline is returned.

  A polyline of few points can cut corners of the decoded surface: measure it
  again with more points where that matters.

  Args:
    decode: codes [T, *event] to points [T, ...], row by row. The descent hands
      it floats of 32 bits or more.
    a, b: codes [*event].
    num_points: T.
    num_steps: of the descent. Each decodes T codes and their gradient once, and
      again for every length of the step that its line search refuses.

  Returns:
    Codes [T, *event], the first being a and the last b. The line where `decode`
    is not finite.

  Raises:
    ValueError: ends of unequal shape; fewer than 2 points.
  """
  check(num_points >= 2, 'geodesic', 'num_points must be 2 or more', num_points)
  dtype = jnp.result_type(a, b, 0.0)
  # In 16 bits neighbours would share a place.
  a, b = widen(a), widen(b)
  line = lerp(a, b, jnp.linspace(0.0, 1.0, num_points, dtype=a.dtype))
  # Codes and points in units of the line, so that squares are numbers.
  far, long = (jnp.where((x > 0) & (x < jnp.inf), x, 1)
               for x in (safe_norm(jnp.ravel(b - a)), length(decode(line))))

  def bent(steps):  # in units where the isometry's curvature is one
    off_line = jnp.cumsum(steps - jnp.mean(steps, axis=0), axis=0)[:-1]
    off_line *= far / (2 * (num_points - 1))**0.5
    return line.at[1:-1].add(off_line.astype(line.dtype))

  def cost(steps):
    return energy(decode(bent(steps)) / long)

  solver = optax.lbfgs(memory_size=_MEMORY)
  value_and_grad = optax.value_and_grad_from_state(cost)

  def descend(state, _):
    steps, solver_state = state
    value, slope = value_and_grad(steps, state=solver_state)
    updates, solver_state = solver.update(
        slope, solver_state, steps, value=value, grad=slope, value_fn=cost)
    return (optax.apply_updates(steps, updates), solver_state), None

  steps = jnp.zeros_like(line[1:])
  (steps, _), _ = jax.lax.scan(descend, (steps, solver.init(steps)), None,
                               num_steps)
  curve, line = bent(steps).astype(dtype), line.astype(dtype)
  return jnp.where(length(decode(curve)) < length(decode(line)), curve, line)
