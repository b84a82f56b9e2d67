"""Paths against closed forms: arcs, great circles, helices, the straight line.

Tolerances are roundings of float32 (1e-7, times a few operations), unless a
test says another.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import interpolation

SHARES = np.linspace(0.0, 1.0, 9, dtype=np.float32)
SHAPES = [(5,), (2, 3, 1)]
# Each as one program: these tests take the time of compiling.
lerp, slerp, length, energy = map(jax.jit, (
    interpolation.lerp, interpolation.slerp, interpolation.length,
    interpolation.energy))


def ends(shape, seed=0):
  return np.random.default_rng(seed).normal(size=(2, *shape)).astype(
      np.float32)


def norms(path):
  return np.linalg.norm(np.reshape(path, (len(path), -1)), axis=1)


def angles(path):
  """Between neighbours, in double precision."""
  flat = np.asarray(path, np.float64).reshape(len(path), -1)
  unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
  return np.arccos(np.sum(unit[1:] * unit[:-1], axis=1))


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('path', [interpolation.lerp, interpolation.slerp])
def test_paths_run_from_end_to_end_exactly(path, shape):
  a, b = ends(shape)
  found = jax.jit(path)(a, b, SHARES)
  assert found.shape == (9, *shape)
  np.testing.assert_array_equal(found[0], a)
  np.testing.assert_array_equal(found[-1], b)
  assert jax.eval_shape(path, a, b, SHARES[3]).shape == shape
  np.testing.assert_allclose(path(a, b, SHARES), found, rtol=1e-5, atol=1e-6)
  many = jax.jit(jax.vmap(path, (0, 0, None)))(
      np.stack([a, b]), np.stack([b, a]), SHARES)
  np.testing.assert_allclose(many, [found, found[::-1]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('shape', SHAPES)
def test_slerp_keeps_the_norm_and_the_angular_speed(shape):
  """And stays in the plane of its ends; the norm is linear where it varies."""
  a, b = ends(shape)
  b = 3 * b / np.linalg.norm(b)
  for norm in (3.0, 0.5):
    a = norm * a / np.linalg.norm(a)
    path = slerp(a, b, SHARES)
    np.testing.assert_allclose(norms(path), np.linspace(norm, 3, 9), rtol=1e-6)
    whole, = angles(np.stack([a, b]))
    np.testing.assert_allclose(angles(path), whole / 8, rtol=1e-5)
    plane = np.stack([np.ravel(a), np.ravel(b)])
    residual = np.linalg.lstsq(plane.T, np.reshape(path, (9, -1)).T)[1]
    assert residual.max() < 1e-11


_SLOPES = jax.jit(jax.jacobian(interpolation.slerp, (0, 1, 2)))


@pytest.mark.parametrize('a, b', [
    ([1., 2.], [2., 4.]), ([1., 2.], [1., 2.]), ([1., 2.], [-2., -4.]),
    ([0., 0.], [1., 2.]), ([1., 2.], [0., 0.]), ([0., 0.], [0., 0.])])
def test_slerp_is_the_line_where_there_is_no_one_arc(a, b):
  a, b = jnp.asarray(a), jnp.asarray(b)
  np.testing.assert_allclose(slerp(a, b, SHARES), lerp(a, b, SHARES),
                             rtol=1e-6)
  slopes = _SLOPES(a, b, SHARES)
  assert all(np.isfinite(slope).all() for slope in slopes)


def test_slerp_meets_the_line_where_it_gives_way_to_it():
  """Arc and line of angle w differ by w^2 / 8, here near the threshold."""
  for angle in (1e-4, 3e-4, 4e-4, 1e-3):
    b = np.float32([np.cos(angle), np.sin(angle)])
    got = slerp(np.float32([1., 0.]), b, SHARES)
    turn = np.linspace(0, angle, 9)
    np.testing.assert_allclose(got, np.stack([np.cos(turn), np.sin(turn)], 1),
                               atol=1e-6)


@pytest.mark.parametrize('unit', [2.0**-100, 2.0**-66, 2.0**63, 2.0**100])
def test_slerp_and_length_are_equivariant_to_the_unit(unit):
  a, b = ends((5,))
  unit, path = np.float32(unit), np.asarray(slerp(a, b, SHARES))
  np.testing.assert_array_equal(
      slerp(unit * a, unit * b, SHARES), unit * path)
  np.testing.assert_array_equal(length(unit * path),
                                unit * np.asarray(length(path)))


def test_slerp_of_16_bits_is_rounded_once():
  a, b = (x.astype(jnp.bfloat16) for x in ends((5,)))
  want = slerp(a.astype(np.float32), b.astype(np.float32), SHARES)
  got = slerp(a, b, SHARES.astype(jnp.bfloat16))
  assert got.dtype == jnp.bfloat16
  np.testing.assert_array_equal(got, np.asarray(want).astype(jnp.bfloat16))


def test_normal_grid_is_even_in_probability_and_upright():
  grid = np.asarray(interpolation.normal_grid(4))
  middles = np.array([1, 3, 5, 7]) / 8
  for row in range(4):
    np.testing.assert_allclose(stats.norm.cdf(grid[row, :, 0]), middles,
                               rtol=1e-5)
    np.testing.assert_allclose(stats.norm.cdf(grid[:, row, 1]), middles[::-1],
                               rtol=1e-5)


def test_length_is_that_of_the_polyline():
  corners = jnp.asarray([[0., 0.], [3., 0.], [3., 4.], [3., 4.], [0., 0.]])
  np.testing.assert_allclose(length(corners), 3 + 4 + 5)
  np.testing.assert_allclose(length(corners.reshape(5, 1, 2, 1)), 12)
  # Where points repeat too.
  assert np.isfinite(jax.jit(jax.grad(length))(corners)).all()


def test_length_and_energy_of_less_than_a_step_are_0():
  for shape in ((1, 2), (0, 2), (3, 0)):
    assert length(np.zeros(shape)) == 0
    assert energy(np.zeros(shape)) == 0


def test_length_and_energy_of_bytes_do_not_wrap_around():
  path = jnp.asarray([[0, 3], [255, 3], [0, 3]], jnp.uint8)
  assert length(path) == 510
  assert energy(path) == 2 * 2 * 255**2


def test_energy_is_no_less_than_the_squared_length():
  """By Cauchy and Schwarz, with equality at constant speed."""
  path = np.random.default_rng(0).normal(size=(6, 2, 3))
  assert energy(path) > length(path)**2
  line = lerp(*ends((2, 3)), SHARES)
  np.testing.assert_allclose(energy(line), np.square(length(line)), rtol=1e-5)


def plane(z):
  """An isometric inclusion of the plane in space."""
  basis = jnp.asarray([[.6, .8, 0.], [0., 0., 1.]])
  return z @ basis


def sphere(z):
  """Polar angle and azimuth to the unit sphere."""
  polar, azimuth = z[..., 0], z[..., 1]
  return jnp.stack([jnp.sin(polar) * jnp.cos(azimuth),
                    jnp.sin(polar) * jnp.sin(azimuth), jnp.cos(polar)], -1)


def cylinder(z):
  """To a cylinder of radius 2, by bent coordinates of angle and height."""
  angle, height = jnp.sinh(z[..., 0]), z[..., 1] + z[..., 0]**2
  return jnp.stack([2 * jnp.cos(angle), 2 * jnp.sin(angle), height], -1)


def sphere_length(a, b, num):
  """Of num equal chords of the great circle: they have the least energy."""
  a, b = np.asarray(jax.jit(sphere)(np.stack([a, b])))
  angle = np.arccos(np.sum(a * b))
  return 2 * num * np.sin(angle / 2 / num)


def cylinder_length(a, b, num):
  """Of num equal chords of the helix, straight on the unrolled cylinder."""
  angle = np.sinh(b[0]) - np.sinh(a[0])
  height = (b[1] + b[0]**2) - (a[1] + a[0]**2)
  return np.hypot(4 * num * np.sin(angle / 2 / num), height)


@pytest.mark.parametrize('num_points', [2, 3, 33])
@pytest.mark.parametrize('decode, truth, a, b', [
    (plane, lambda a, b, num: np.linalg.norm(b - a), [-1., .3], [.5, 2.]),
    (sphere, sphere_length, [.6, 0.], [.9, 2.]),
    (cylinder, cylinder_length, [-.7, .2], [.9, .5]),
], ids=['plane', 'sphere', 'cylinder'])
def test_geodesic_is_the_one_known(decode, truth, a, b, num_points):
  """In as many steps at few points as at many; within 1e-5 of its length."""
  a, b = np.float32(a), np.float32(b)

  @jax.jit
  def find(a, b):
    path = interpolation.geodesic(decode, a, b, num_points=num_points)
    decoded = decode(path)
    return path, decoded, interpolation.length(decoded)

  path, decoded, total = map(np.asarray, find(a, b))
  np.testing.assert_array_equal(path[0], a)
  np.testing.assert_array_equal(path[-1], b)
  want = truth(a, b, num_points - 1)
  np.testing.assert_allclose(total, want, rtol=1e-5)
  steps = norms(np.diff(decoded, axis=0))
  # Of lengths that are off by 1e-5 together: one may be off by the root.
  np.testing.assert_allclose(steps, want / (num_points - 1), rtol=1e-2)
  if decode is plane:
    np.testing.assert_allclose(
        path, np.linspace(a, b, num_points), rtol=1e-5, atol=1e-6)
  if decode is sphere:
    normal = np.cross(decoded[0], decoded[-1])
    assert np.abs(decoded @ normal).max() < 1e-2


def test_geodesic_is_equivariant_to_the_units_of_codes_and_points():
  """To the tolerance of `test_geodesic_is_the_one_known`."""
  a, b = np.float32([[.6, 0.], [.9, 2.]])

  def found(code, point):
    path = interpolation.geodesic(
        lambda z: point * sphere(z / code), code * a, code * b, num_points=9)
    return interpolation.length(sphere(path / code))

  units = np.float32([[1, 1], [2.0**-66, 2.0**63], [2.0**63, 2.0**-66]])
  np.testing.assert_allclose(jax.jit(jax.vmap(found))(*units.T),
                             sphere_length(a, b, 8), rtol=1e-5)


@pytest.mark.parametrize('x64', [False, True])
@pytest.mark.parametrize('dtype', [
    jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64, jnp.int32])
def test_geodesic_has_the_dtype_of_its_ends(dtype, x64):
  """Without a warning, which is an error here."""
  with jax.enable_x64(x64):
    a, b = jnp.eye(2, dtype=jax.dtypes.canonicalize_dtype(dtype))
    path = jax.eval_shape(lambda a, b: interpolation.geodesic(
        lambda z: z, a, b, num_points=4, num_steps=2), a, b)
    assert path.dtype == jnp.result_type(a, 0.0)


def test_geodesic_is_never_longer_than_the_line():
  """Over random decoders to images."""

  def found(hidden, out, a, b):
    decode = lambda z: jnp.sin(jnp.tanh(
        z.reshape(-1, 6) @ hidden) @ out).reshape(-1, 2, 2, 3)
    path = interpolation.geodesic(decode, a, b, num_points=9, num_steps=20)
    line = interpolation.lerp(a, b, SHARES)
    return path, *(interpolation.length(decode(p)) for p in (path, line))

  rng = np.random.default_rng(0)
  hidden, out, a, b = (
      jnp.asarray(rng.normal(0, scale, (32, *shape)), jnp.float32)
      for scale, shape in ((2, (6, 8)), (1, (8, 12)), (2, (3, 2)), (2, (3, 2))))
  path, short, straight = jax.jit(jax.vmap(found))(hidden, out, a, b)
  np.testing.assert_array_equal(path[:, 0], a)
  np.testing.assert_array_equal(path[:, -1], b)
  assert np.all(short <= straight * (1 + 1e-6))
  assert np.mean(short < 0.99 * straight) > 0.5


def arc(z):
  """A curve, at uneven speed: even chords would be longer."""
  return jnp.concatenate([jnp.cos(3 * z**3), jnp.sin(3 * z**3)], 1)


@pytest.mark.parametrize('decode', [
    arc, lambda z: jnp.nan * z, jnp.log, lambda z: 0 * z,
    lambda z: jnp.where(z == SHARES[:, None], z, jnp.nan)],
                         ids=['arc', 'nan', 'outside', 'constant', 'off line'])
def test_geodesic_is_the_line_where_it_finds_nothing_shorter(decode):
  path = jax.jit(lambda a, b: interpolation.geodesic(
      decode, a, b, num_points=9, num_steps=3))(jnp.zeros(1), jnp.ones(1))
  np.testing.assert_array_equal(path, lerp(np.zeros(1), np.ones(1), SHARES))


@pytest.mark.parametrize('call, message', [
    (lambda: interpolation.lerp(jnp.ones(2), jnp.ones(3), SHARES),
     'lerp: a, b must have one shape'),
    (lambda: interpolation.slerp(jnp.ones((2, 1)), jnp.ones(2), SHARES),
     'one shape'),
    (lambda: interpolation.normal_grid(0), 'normal_grid: num must be positive'),
    (lambda: interpolation.geodesic(plane, jnp.ones(2), jnp.ones(2),
                                    num_points=1),
     'geodesic: num_points must be 2 or more, got 1'),
])
def test_paths_refuse_what_they_cannot_join(call, message):
  with pytest.raises(ValueError, match=message):
    call()
