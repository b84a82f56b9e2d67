"""Presets of published models: their sizes and how long they are trained."""

import dataclasses
import math

import jax
import pytest

from genjax.runs import diffusion
from genjax.runs import diffusion_settings


def _millions(name, **facts):
  """Millions of parameters; nothing is computed or compiled."""
  settings = dataclasses.replace(
      diffusion_settings.choose(name, {}), **facts)
  shapes = jax.eval_shape(lambda key: diffusion.build(settings).init(key, None),
                          jax.random.key(0))
  return sum(math.prod(x.shape) for x in jax.tree.leaves(shapes)) / 1e6


def _classes(number):
  return tuple(map(str, range(number)))


@pytest.mark.parametrize('name, published', [
    ('dit_s', 33.0), ('dit_b', 130.5), ('dit_l', 458.1), ('dit_xl', 675.1)])
def test_dit_has_its_published_size(name, published):
  """arXiv:2212.09748, table 4, of latents of 4 channels in patches of 2."""
  found = _millions(name, shape=(32, 32, 4), patch_size=2,
                    class_names=_classes(1000))
  assert abs(found / published - 1) < 0.01


@pytest.mark.parametrize('name, shape, classes, published, off', [
    ('cifar10', (32, 32, 3), 10, 55.7, 0.07),
    ('imagenet64', (64, 64, 3), 1000, 295.9, 0.11)])
def test_u_nets_are_about_as_large_as_edm_s(
    name, shape, classes, published, off):
  """Which are other networks (arXiv:2206.00364, its code): DDPM++ has a shorter
  embedding, ADM a scale beside each shift and blocks between levels."""
  found = _millions(name, shape=shape, class_names=_classes(classes))
  assert abs(found / published - 1) < off


@pytest.mark.parametrize('name, images, half_life', [
    ('cifar10', 200, 0.5), ('imagenet64', 2500, 50)])
def test_edm_is_trained_as_long_as_published(name, images, half_life):
  """arXiv:2206.00364, table 7, in millions of images: all of them, half-life of
  the average, and 10 in which the learning rate rises."""
  settings = diffusion_settings.choose(name, {})
  million = settings.batch_size / 1e6
  assert abs(settings.steps * million / images - 1) < 1e-5
  assert abs(settings.warmup * million / 10 - 1) < 1e-3
  found = math.log(0.5) / math.log(settings.ema_decay) * million
  assert abs(found / half_life - 1) < 0.02
