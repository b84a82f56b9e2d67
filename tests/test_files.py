import os

import jax
import pytest

from genjax import files


def test_write_json_is_whole_and_knows_no_infinity(tmp_path):
  path = str(tmp_path / 'a.json')
  files.write_json(path, {'a': [1.5, float('nan'), (float('inf'),)]})
  assert files.read_json(path) == {'a': [1.5, None, [None]]}
  with pytest.raises(TypeError):
    files.write_json(path, {'a': object()})
  assert files.read_json(path) == {'a': [1.5, None, [None]]}


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
  path = str(tmp_path / 'a.txt')
  files.write_text(path, 'before')

  def broken(partial):
    assert partial.endswith('.txt')
    with open(partial, 'w') as file:
      file.write('half')
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    files.write_whole(path, broken)
  assert os.listdir(tmp_path) == ['a.txt']
  assert (tmp_path / 'a.txt').read_text() == 'before'


@pytest.mark.parametrize('process, written', [(0, True), (1, False)])
def test_only_the_first_process_writes(tmp_path, monkeypatch, process, written):
  monkeypatch.setattr(jax, 'process_index', lambda: process)
  files.write_json(str(tmp_path / 'a.json'), {})
  assert os.path.exists(tmp_path / 'a.json') == written
