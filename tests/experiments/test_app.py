"""What every script promises: one line for an error, flags by declaration."""

import dataclasses
import re
import subprocess
import sys
import time

from absl import flags
import pytest

from experiments import app
from experiments import flags as script_flags
from experiments import sample
from experiments import train_classifier
from genjax.runs.settings import check_settings
from genjax.runs.settings import setting


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of every type that a flag may have."""

  width: tuple[int, ...] = setting((8,), low=1, high=64, help='Units.')
  rate: float = setting(0.1, above=0, high=1, help='Rate.')
  steps: int = setting(10, low=1, high=100, help='Steps.')
  mode: str = setting('a', choices=('a', 'b'), help='Mode.')
  note: str | None = setting(None, help='Note.')
  flip: bool = setting(False, help='Flip.')
  interval: tuple[float, ...] = setting((0.0, 1.0), low=-9, high=9,
                                        lengths=(2, 2), help='Interval.')
  shape: tuple[int, ...] = setting((2,), low=1, high=9, help='A fact.')


@pytest.fixture(name='values')
def _values(monkeypatch):
  values = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', values)
  # DEFINE_* put flags into the global registry unless they are told otherwise.
  for name in ('string', 'integer', 'float', 'bool', 'list', 'enum'):
    define = getattr(flags, f'DEFINE_{name}')
    monkeypatch.setattr(flags, f'DEFINE_{name}', lambda *args, d=define, **kw: (
        d(*args, flag_values=values, **kw)))
  script_flags.define_settings(Settings)
  return values


def chosen(values, *argv):
  values(['script', *argv])
  return script_flags.chosen(Settings)


def test_help_shows_the_flags_that_scripts_share(run):
  """Those of settings, and of runs, beside the script's own; no others'."""
  for script, names in ((train_classifier, ('mixup', 'data', 'workdir')),
                        (sample, ('weights', 'seed', 'workdir'))):
    result = run(script, '--help')
    shown = set(re.findall(r'^  --(?:\[no\])?(\w+):', result.out, re.M))
    assert shown >= set(names) and not shown & {'verbosity', 'logtostderr'}
  assert 'mixup' not in shown


def test_there_is_a_flag_for_every_setting_but_facts(values):
  assert chosen(values) == {}
  given = chosen(values, '--width=16,32', '--rate=0.5', '--steps=3',
                 '--mode=b', '--note=x', '--flip', '--interval=-1,2.5')
  settings = Settings(**given)
  check_settings(settings)
  assert settings == Settings((16, 32), 0.5, 3, 'b', 'x', True, (-1.0, 2.5))
  assert 'shape' not in values


@pytest.mark.parametrize('argv, message', [
    ('--width=16,x', 'width: must be whole numbers with commas between, got'),
    ('--width=0', r'width: must be .* in \[1, 64\]'),
    ('--rate=nan', 'rate: must be a number above 0 and at most 1, got nan'),
    ('--steps=101', r'steps: must be a whole number in \[1, 100\], got 101'),
    ('--interval=1', 'interval: must be 2 numbers'),
])
def test_what_does_not_fit_is_one_line_that_names_the_flag(
    values, argv, message):
  with pytest.raises(ValueError, match=message) as error:
    check_settings(Settings(**chosen(values, argv)))
  assert app.message_of(error.value).startswith(argv.split('=')[0])


@pytest.mark.parametrize('error, message', [
    (ValueError('steps: must be few\nor so'), '--steps: must be few'),
    (ValueError('fit: no finite update'), 'fit: no finite update'),
    (OSError(28, 'No space left'), '[Errno 28] No space left'),
    (KeyError('a'), "failed on KeyError: 'a' (--verbosity=1 shows where)"),
    (MemoryError(), 'failed on MemoryError:  (--verbosity=1 shows where)'),
    (RuntimeError(), 'RuntimeError'),
])
def test_an_error_of_any_type_is_one_line(values, error, message):
  del values
  assert app.message_of(error) == message


def test_a_script_that_fails_ends_at_once():
  """Though a thread that is no daemon would wait for minutes."""
  program = '''
import threading, time
from experiments import app
def main():
  threading.Thread(target=time.sleep, args=(300,)).start()
  raise OSError('the disk is full')
app.run(main, ['script.py'])
'''
  start = time.monotonic()
  done = subprocess.run([sys.executable, '-c', program], capture_output=True,
                        text=True, timeout=120)
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr == 'script: the disk is full\n'
  assert time.monotonic() - start < 100  # a third of what it would wait


@pytest.mark.parametrize('sent, code, out, err', [
    ('SIGTERM', 0, 'stopped: the same command goes on\n', ''),
    ('SIGHUP', 0, 'stopped: the same command goes on\n', ''),
    ('SIGINT', 130, 'stopped: the same command goes on\n', ''),
    (None, 130, '', '\nscript: interrupted\n')])
def test_signals_end_a_script_by_what_they_ask(sent, code, out, err):
  """After training has saved; or, of Ctrl-C elsewhere, there and then."""
  act = (f'raise Stopped(signal.{sent})' if sent else
         'signal.raise_signal(signal.SIGINT)')
  result = subprocess.run([sys.executable, '-c', f'''
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from experiments import app
from genjax.runs.fit import Stopped
def main():
  {act}
app.run(main, ['script'])
'''], capture_output=True, text=True, timeout=60, check=False)
  assert (result.returncode, result.stdout, result.stderr) == (code, out, err)


def test_sides_of_an_image_are_read_with_an_x_between_them(values):
  assert chosen(values, '--width=32x64') == {'width': (32, 64)}
