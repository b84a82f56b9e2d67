"""A step is compiled before the first one runs, and never again."""

import logging

import jax
import pytest

from genjax.runs.fit import fit_run
from genjax.runs.task import no_hooks
from genjax.training import loop
from tests.runs.test_fingerprint import KINDS

CASES = [(kind, 'jit') for kind in KINDS] + [
    ('gaussian', 'fsdp'), ('gaussian', 'pmap')]


@pytest.mark.parametrize('kind, parallel', CASES)
def test_the_first_step_is_the_last_to_be_compiled(
    kind, parallel, tmp_path, monkeypatch, caplog):
  """On eight devices, or on one where that takes long to compile."""
  row, compilations, fit = KINDS[kind], [], loop.fit
  task = row.task._replace(hooks=no_hooks)
  if kind != 'gaussian':
    task = task._replace(loss=lambda settings, model: row.task.loss(
        settings, model)._replace(devices=1))

  def counted(compiled, *args, **kwargs):
    def step(*given):
      caplog.clear()
      found = jax.block_until_ready(compiled.step(*given))
      compilations.append(caplog.text.count('XLA compilation'))
      return found

    return fit(compiled._replace(step=step), *args, **kwargs)

  monkeypatch.setattr(loop, 'fit', counted)
  settings = row.task.Settings(**{**row.base, 'steps': 3, 'log_every': 1,
                                  'save_every': 2, 'parallel': parallel})
  data = row.data(settings) if callable(row.data) else row.data
  with jax.log_compiles(), caplog.at_level(logging.WARNING, 'jax'):
    fit_run(task, settings, data, str(tmp_path))
  # Under jit the step is compiled where its memory is measured.
  assert compilations == [int(parallel == 'pmap'), 0, 0]
