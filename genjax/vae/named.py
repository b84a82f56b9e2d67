"""Variational autoencoders of parts that are chosen by name.

A part is added by a function and a row of one of the tables below.
"""

import functools
import math
from typing import Callable, Mapping, NamedTuple

import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_choice
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.flow import conditional_bijector
from genjax.distributions.flow import ContextParams
from genjax.distributions.flow import flow
from genjax.networks import autoencoder
from genjax.networks.coupling import SplineCoupling
from genjax.vae import likelihoods
from genjax.vae import posteriors
from genjax.vae import priors
from genjax.vae.model import make_vae
from genjax.vae.model import MakeNetwork
from genjax.vae.model import VAE


class Parts(NamedTuple):
  """What a VAE is made of."""

  shape: tuple[int, ...]  # of an example
  num_classes: int | None  # None takes no labels
  latents: int  # length of a code
  network: str
  width: tuple[int, ...]  # of its layers or levels
  groups: int  # of a convolutional network's normalisation, at most
  dtype: str  # in which the hidden layers of the networks compute
  likelihood: str
  levels: int  # of a pixel
  scale: str  # of the likelihood, see `likelihoods.SCALES`
  prior: str
  components: int  # of a prior that is a mixture
  posterior: str
  flow_layers: int  # of a prior or posterior that is a flow
  context: int  # outputs of the encoder that a flow is told


def _mlp(p: Parts) -> tuple[MakeNetwork, MakeNetwork]:
  return (
      functools.partial(autoencoder.MLPEncoder, widths=p.width,
                        num_classes=p.num_classes, dtype=p.dtype),
      functools.partial(autoencoder.MLPDecoder, shape=p.shape, widths=p.width,
                        num_classes=p.num_classes, dtype=p.dtype))


def _conv(p: Parts) -> tuple[MakeNetwork, MakeNetwork]:
  groups = math.gcd(p.groups, *p.width)
  return (
      functools.partial(autoencoder.ConvEncoder, channels=p.width,
                        groups=groups, num_classes=p.num_classes,
                        dtype=p.dtype),
      functools.partial(autoencoder.ConvDecoder, shape=p.shape,
                        channels=p.width, groups=groups,
                        num_classes=p.num_classes, dtype=p.dtype))


def _couplings(p: Parts) -> SplineCoupling:
  return SplineCoupling(num_layers=p.flow_layers, bound=6.0)


def _flow_prior(p: Parts) -> priors.Prior:
  network, num = _couplings(p), p.latents
  standard = NormalParams(jnp.zeros(num), jnp.ones(num))
  return priors.learned(num, flow(network, independent(normal, 1), standard),
                        network.init)


def _flow_posterior(p: Parts) -> posteriors.Posterior:
  network = _couplings(p)
  return posteriors.flow(p.latents, p.context, conditional_bijector(network),
                         network.init, ContextParams)


# Encoder and decoder.
NETWORKS: Mapping[str, Callable[[Parts], tuple[MakeNetwork, MakeNetwork]]] = {
    'mlp': _mlp, 'conv': _conv}

LIKELIHOODS: Mapping[str, Callable[[Parts], likelihoods.Likelihood]] = {
    'discretized_logistic': lambda p: likelihoods.discretized_logistic(
        p.levels, p.scale),
    'gaussian': lambda p: likelihoods.gaussian(p.scale),
    'bernoulli': lambda p: likelihoods.bernoulli(),
}

PRIORS: Mapping[str, Callable[[Parts], priors.Prior]] = {
    'normal': lambda p: priors.standard_normal(p.latents),
    'vamp': lambda p: priors.vamp(p.latents, p.components),
    'flow': _flow_prior,
}

POSTERIORS: Mapping[str, Callable[[Parts], posteriors.Posterior]] = {
    'diagonal': lambda p: posteriors.diagonal(p.latents),
    'flow': _flow_posterior,
}


def make(parts: Parts) -> VAE:
  """The model of `parts`.

  Raises:
    ValueError: an unknown name, or parts that do not fit together; the message
      begins with the field.
  """
  for field, table in (('network', NETWORKS), ('likelihood', LIKELIHOODS),
                       ('prior', PRIORS), ('posterior', POSTERIORS)):
    check_choice(field, 'it', getattr(parts, field), table)
  check(parts.prior != 'vamp' or parts.posterior == 'diagonal', 'prior',
        'must be another than vamp, a mixture of diagonal posteriors, for '
        f'the posterior {parts.posterior}', 'vamp')
  check(parts.likelihood != 'bernoulli' or parts.levels == 2, 'likelihood',
        'must be another for pixels of more than two levels', 'bernoulli')
  encoder, decoder = NETWORKS[parts.network](parts)
  return make_vae(
      encoder, decoder, posterior=POSTERIORS[parts.posterior](parts),
      prior=PRIORS[parts.prior](parts),
      likelihood=LIKELIHOODS[parts.likelihood](parts),
      event_ndims=len(parts.shape), num_classes=parts.num_classes)
