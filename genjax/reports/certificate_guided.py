"""Rows of the certificate about guidance and about restoration."""

import functools
from typing import Any, Mapping

import jax
import numpy as np

from genjax.diffusion import certified_guidance as guidance
from genjax.diffusion import certified_restoration as restoration
from genjax.diffusion import exact_guided
from genjax.metrics import ranks
from genjax.training import programs

GUIDANCE = 'guidance'
RESTORATION = 'restoration of {} data'
BINS = 8  # of ranks

# What is measured in each; certificate.json holds them beside the samplers.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    GUIDANCE: guidance.NAMES,
    **{RESTORATION.format(name): tuple(restoration.RESTORERS)
       for name in restoration.DATA},
}


def _data(section: str) -> restoration.Data:
  return next(data for name, data in restoration.DATA.items()
              if RESTORATION.format(name) == section)


def facts(section: str, name: str) -> dict[str, Any]:
  """The row of a guidance, or of a restorer on the data of a section."""
  if section == GUIDANCE:
    return _guided(name)
  return restored(restoration.measure(
      _data(section), restoration.RESTORERS[name]))


def _guided(name: str) -> dict[str, Any]:
  row = {}
  for scale, found in zip(guidance.SCALES, guidance.measure(name)):
    known = guidance.known(name, scale)
    off = known.guided and max(
        abs(a - b) for a, b in zip(found, known.guided))
    row[f'{scale:g}'] = {**found._asdict(), 'off': off, **{
        law: value and list(value) for law, value in known._asdict().items()}}
  return {'scales': row}


def restored(measured: restoration.Measured) -> dict[str, Any]:
  """What is said of restorations: errors, and ranks along and across.

  Along what is measured, and across it, are 'spread', the 'uniformity' of ranks
  and their counts in BINS.
  """
  sets, draws, errors, evaluations = measured
  num = draws.shape[1]
  found = ranks.ranks(sets.x @ restoration.AXES.T, draws @ restoration.AXES.T)
  bins = found * BINS // (num + 1)
  return {
      'evaluations': evaluations, **errors._asdict(),
      'spread': [list(ranks.spread(found[:, i:i + 1], num)) for i in (0, 1)],
      'uniformity': [ranks.uniformity(found[:, i], num, BINS) for i in (0, 1)],
      'ranks': [np.bincount(bins[:, i], minlength=BINS).tolist()
                for i in (0, 1)]}


def inputs(section: str, name: str) -> str:
  """Hash of all that a row depends on."""
  if section == GUIDANCE:
    run, start = guidance.program(name)
    scales = guidance.SCALES if name == guidance.COMPOSED else (1.5,)
    return programs.digest((
        programs.sources(guidance, exact_guided),
        [programs.fingerprint(functools.partial(run, scale), *start)
         for scale in scales]))
  data, restorer = _data(section), restoration.RESTORERS[name]
  y = np.zeros((restoration.TRUTHS * restoration.DRAWS, 1))
  return programs.digest((
      programs.sources(restoration, ranks),
      programs.fingerprint(
          functools.partial(restoration.posterior, data), y[0]),
      programs.fingerprint(functools.partial(
          restoration.restore, restorer, data, restoration.STEPS),
                           jax.random.key(1), y)))
