import pytest

from experiments import check_devices
from genjax.files import read_json
from genjax.reports import devices

FLAGS = ('--preset=toy', '--data=toy:moons,points=64', '--width=8', '--depth=1',
         '--batch_size=8', '--steps=21')
WAYS = ['at once', 'again', 'stopped, gone on', 'one device', 'fsdp', 'pmap',
        'tensor parallel']


@pytest.mark.parametrize('tried', [
    ('at once', 'stopped, gone on', 'tensor parallel'),
    pytest.param(WAYS, marks=pytest.mark.slow)], ids=['few', 'all'])
def test_all_ways_are_one_run_and_a_difference_is_told(
    run, tmp_path, monkeypatch, tried):
  """Runs that are there already are read again: the second call is quick."""
  ways = devices.ways
  monkeypatch.setattr(devices, 'ways', lambda number: {
      name: way for name, way in ways(number).items() if name in tried})
  first = run(check_devices, f'--workdir={tmp_path}', *FLAGS)
  assert (first.code, 'broken' in first.out) == (0, False), first.err
  found = read_json(f'{tmp_path}/report.json')
  assert (found['devices'], list(found['ways'])) == (8, list(tried))
  exact = [name for name, row in found['ways'].items()
           if row['losses'] == row['samples'] == 0]
  assert set(exact) >= set(WAYS[:3]) & set(tried) and exact != list(tried)
  monkeypatch.setattr(devices, 'LOSSES', -1.0)
  second = run(check_devices, f'--workdir={tmp_path}', *FLAGS)
  assert second.code == 1
  broken = ', '.join(name for name in tried if name in WAYS[3:])
  assert second.err.endswith(
      f'check_devices: broken on these devices: {broken}\n')


def test_too_few_steps_to_stop_within_are_refused(run, tmp_path):
  run(check_devices, f'--workdir={tmp_path}/run', '--steps=20').check_refusal(
      'check_devices', ['--steps: must be more than 20, got 20'])


@pytest.mark.parametrize('number, wanted', [
    (1, WAYS[:3]), (2, WAYS), (3, WAYS[:6])])
def test_ways_are_those_that_the_devices_allow(number, wanted):
  assert list(devices.ways(number)) == wanted
