"""What is written agrees with what is there: docstrings and README.md.

Like the floor plan's, the rules are functions of text to a list of
complaints, run over the house and over planted violations.
"""

import ast
from collections.abc import Iterator
import configparser
import dataclasses
import importlib
import pathlib
import re
import shlex
import zipfile

import pytest

from tests.runs.keep import KEPT

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / 'README.md'
PAGES = [README, *sorted((ROOT / 'docs').glob('*.md'))]
SHELLS = ('console', 'bash', 'sh', 'shell')

# Flags that absl gives every script.
ABSL_FLAGS = {'help', 'helpfull', 'helpshort', 'verbosity', 'flagfile'}


def check_docstrings(path: str, source: str) -> list[str]:
  """Complaints on public functions and classes, and on the module itself."""
  tree = ast.parse(source)
  complaints = []
  for node in [tree, *tree.body]:
    if not isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
      continue
    name = getattr(node, 'name', 'the module')
    if name.startswith('_') or not source.strip():
      continue
    first = (ast.get_docstring(node) or '').split('\n')[0]
    if not first:
      complaints.append(f'{path}: {name} has no docstring')
    elif not first.endswith('.'):
      complaints.append(f'{path}: {name}: no full stop after "{first}"')
  return complaints


def blocks(text: str) -> Iterator[tuple[str, str]]:
  """Language and body of every fenced block of a Markdown text."""
  for found in re.finditer(r'^```(\w*)\n(.*?)^```', text, re.M | re.S):
    yield found.group(1), found.group(2)


def commands(text: str) -> Iterator[list[str]]:
  """The words of every shell command of a Markdown text, `make ...` too."""
  for language, body in blocks(text):
    if language in SHELLS:
      for line in body.replace('\\\n', ' ').splitlines():
        words = shlex.split(line.removeprefix('$ '), comments=True)
        if words:
          yield words
  for inline in re.findall(r'`(make [^`]*|python3? -m [^`]*)`', text):
    yield shlex.split(inline)


def make_targets(makefile: str) -> set[str]:
  return set(re.findall(r'^([a-z][\w-]*):(?!=)', makefile, re.M))


def defined_flags(source: str) -> set[str]:
  """Names of the absl flags that `source` defines."""
  return {node.args[0].value for node in ast.walk(ast.parse(source))
          if isinstance(node, ast.Call)
          and 'flags.DEFINE_' in ast.unparse(node.func)
          and isinstance(node.args[0], ast.Constant)}


def settings_flags(source: str) -> set[str]:
  """Names of the settings for which `source` defines flags."""
  tree = ast.parse(source)
  modules = {alias.asname or alias.name: f'{node.module}.{alias.name}'
             for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom) for alias in node.names}
  found = set()
  if re.search(r'define_settings\(\s*Settings\b', source):  # of its own
    found |= {item.target.id for node in tree.body
              if isinstance(node, ast.ClassDef) and node.name == 'Settings'
              for item in node.body if isinstance(item, ast.AnnAssign)}
  for module in re.findall(r'define_settings\(\s*(\w+)\.Settings', source):
    settings = importlib.import_module(modules[module]).Settings
    found |= {field.name for field in dataclasses.fields(settings)}
  return found


def flags_of(script: pathlib.Path) -> set[str]:
  """Flags of a script and of the experiments' modules that it imports."""
  source = script.read_text('utf-8')
  modules = set(re.findall(r'^from experiments import (\w+)', source, re.M))
  modules |= set(re.findall(r'^from experiments\.(\w+) import', source, re.M))
  files = [script] + [script.parent / f'{m}.py' for m in modules]
  return settings_flags(source).union(
      *(defined_flags(f.read_text('utf-8')) for f in files))


def check_command(words: list[str], root: pathlib.Path) -> list[str]:
  """Complaints on one shell command, split into words."""
  line = ' '.join(words)
  while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
    words = words[1:]
  if words[0] == 'make':
    targets = make_targets((root / 'Makefile').read_text('utf-8'))
    return [f'{line}: no make target {word}' for word in words[1:]
            if '=' not in word and not word.startswith('-')
            and word not in targets]
  if 'install' in words and any(w.endswith('pip') for w in words):
    return check_install(line, root)
  interpreter = pathlib.PurePath(words[0]).name
  if not interpreter.startswith('python') or words[1:2] != ['-m']:
    return []
  package, _, name = words[2].partition('.')
  if package != 'experiments':
    return []
  script = root / 'experiments' / f'{name}.py'
  if not script.exists():
    return [f'{line}: no script experiments/{name}.py']
  known = flags_of(script) | ABSL_FLAGS
  complaints = []
  for word in words[3:]:
    flag = word.removeprefix('--').partition('=')[0]
    if not word.startswith('--'):
      complaints.append(f'{line}: stray argument {word}')
    elif flag not in known and flag.removeprefix('no') not in known:
      complaints.append(f'{line}: {name}.py has no flag --{flag}')
  return complaints


def check_install(line: str, root: pathlib.Path) -> list[str]:
  """Complaints on one `pip install`: another project is named genjax."""
  complaints = []
  if re.search(r'\sgenjax(\s|\[|=|$)', line):
    complaints.append(f'{line}: that is another project')
  config = configparser.ConfigParser()
  config.read(root / 'setup.cfg')
  for extras in re.findall(r'[./]\[([\w,]+)\]', line):
    complaints += [f'{line}: no extra {extra}' for extra in extras.split(',')
                   if extra not in config['options.extras_require']]
  return complaints


def check_python(body: str) -> list[str]:
  """Complaints on one Python block: every import must be there."""
  complaints = []
  for node in ast.walk(ast.parse(body)):
    if isinstance(node, ast.Import):
      for alias in node.names:
        importlib.import_module(alias.name)
    elif isinstance(node, ast.ImportFrom):
      module = importlib.import_module(node.module or '')
      for alias in node.names:
        if not hasattr(module, alias.name):
          try:
            importlib.import_module(f'{node.module}.{alias.name}')
          except ImportError:
            complaints.append(f'no {alias.name} in {node.module}')
  return complaints


def check_links(text: str, root: pathlib.Path) -> list[str]:
  """Complaints on relative links and images that lead nowhere."""
  targets = re.findall(r'\]\(([^)#\s]+)[^)]*\)', text)
  targets += re.findall(r'src="([^"]+)"', text)
  return [f'no file {target}' for target in targets
          if '://' not in target and not (root / target).exists()]


def test_docstrings_of_the_library_are_sentences():
  complaints = [c for path in sorted((ROOT / 'genjax').rglob('*.py'))
                for c in check_docstrings(
                    path.relative_to(ROOT).as_posix(),
                    path.read_text('utf-8'))]
  assert not complaints, '\n'.join(complaints)


@pytest.mark.parametrize('source', [
    '"""Doc."""\ndef f():\n  return 1',
    '"""Doc."""\ndef f():\n  """Says it"""',
    '"""Doc."""\nclass A:\n  """Says\n  it."""',
    'X = 1',
])
def test_check_docstrings_sees_a_planted_violation(source):
  assert check_docstrings('genjax/a.py', source)


def test_check_docstrings_leaves_private_names_alone():
  source = '"""Doc."""\ndef _f():\n  pass\ndef g():\n  """Says it."""'
  assert not check_docstrings('genjax/a.py', source)


def test_readme_commands_exist():
  found = list(commands(README.read_text('utf-8')))
  assert ['make', 'demo'] in found
  assert ['make', 'test'] in found
  complaints = [c for words in found for c in check_command(words, ROOT)]
  assert not complaints, '\n'.join(complaints)


def test_python_imports_exist():
  complaints = [c for page in PAGES
                for language, body in blocks(page.read_text('utf-8'))
                if language == 'python' for c in check_python(body)]
  assert not complaints, '\n'.join(complaints)


@pytest.mark.parametrize('name', ['README.md', 'docs/extending.md'])
def test_python_runs(name, tmp_path, monkeypatch):
  """Beside a run of the demo's kind, which is there after `make demo`."""
  with zipfile.ZipFile(KEPT / 'diffusion.zip') as run:
    run.extractall(tmp_path / 'runs' / 'digits')
  monkeypatch.chdir(tmp_path)
  page = ROOT / name
  found = [body for language, body in blocks(page.read_text('utf-8'))
           if language == 'python']
  assert found
  names = {'__name__': page.stem}  # what one block defines, the next may use
  for body in found:
    exec(compile(body, str(page), 'exec'), names)


def test_links_lead_somewhere():
  complaints = [f'{page.name}: {c}' for page in PAGES
                for c in check_links(page.read_text('utf-8'), page.parent)]
  assert not complaints, '\n'.join(complaints)


@pytest.fixture(name='house')
def make_house(tmp_path: pathlib.Path) -> pathlib.Path:
  """A small checkout: one make target, one extra, one script, one flag."""
  (tmp_path / 'Makefile').write_text('X := 1\ndemo: x\n\techo\n')
  (tmp_path / 'setup.cfg').write_text(
      '[options.extras_require]\ntpu = jax[tpu]\n')
  (tmp_path / 'experiments').mkdir()
  (tmp_path / 'experiments' / 'common.py').write_text(
      "flags.DEFINE_string('workdir', '', 'x')\n")
  (tmp_path / 'experiments' / 'train.py').write_text(
      "from experiments import common\n"
      "S = flags.DEFINE_integer('steps', 1, 'x')\n"
      "F = flags.DEFINE_bool('flip', True, 'x')\n")
  return tmp_path


@pytest.mark.parametrize('command, right', [
    ('make demo', True),
    ('make PYTHON=python3.12 demo', True),
    ('make X', False),
    ('make fly', False),
    ('git clone somewhere', True),
    ('pip install -e ".[tpu]"', True),
    ('pip install ".[gpu]"', False),
    ('.venv/bin/pip install genjax', False),
    ('.venv/bin/python -m experiments.train --steps=2 --noflip', True),
    ('JAX_PLATFORMS=cpu python -m experiments.train --workdir=x', True),
    ('python -m experiments.train --step=2', False),
    ('python -m experiments.train 2', False),
    ('python -m experiments.fly', False),
])
def test_check_command_sees_what_is_missing(house, command, right):
  text = f'Run\n```console\n$ {command}\n```\n'
  (words,) = commands(text)
  assert (not check_command(words, house)) == right


def test_commands_joins_lines_and_reads_inline_code():
  text = '```bash\npython -m a \\\n  --b=1  # why\n```\nand `make demo`, `x`.'
  assert list(commands(text)) == [['python', '-m', 'a', '--b=1'],
                                  ['make', 'demo']]


@pytest.mark.parametrize('body, right', [
    ('from genjax.types import Array\nfrom genjax import checks', True),
    ('from genjax.types import Arrow', False),
    ('from genjax import attic', False),
])
def test_check_python_sees_what_is_missing(body, right):
  assert (not check_python(body)) == right


def test_check_links_sees_what_is_missing(house):
  text = '[a](Makefile) [b](https://x.org) ![c](x.png) <img src="y.png">'
  assert len(check_links(text, house)) == 2
