import html.parser
import json

import pytest

from genjax.metrics.estimate import Estimate
from genjax.reports import table

MADE = table.make_table(
    ['name', table.Column('nats', 'nats an image', '.2f'), 'count', 'note'],
    [('a <b> & "c"', 1.005, 3, None),
     ('d', Estimate(1.0, -0.5, 22.25), 12345, 'after'),
     ('e', float('nan'), None, 'last')])


def test_text_aligns_words_left_and_numbers_right():
  assert table.as_text(MADE) == '''\
name               nats an image  count  note
a <b> & "c"                 1.00      3
d            1.00 (-0.50, 22.25)  12345  after
e                            nan         last'''


def test_json_holds_every_cell_by_its_column():
  found = json.loads(json.dumps(table.as_json(MADE)))
  assert found[0] == {'name': 'a <b> & "c"', 'nats': 1.005, 'count': 3,
                      'note': None}
  assert found[1]['nats'] == {'value': 1.0, 'low': -0.5, 'high': 22.25}
  assert list(table.records(MADE)) == ['a <b> & "c"', 'd', 'e']


def test_html_says_what_the_text_says_and_runs_nothing():
  cells = []

  class Reader(html.parser.HTMLParser):

    def handle_starttag(self, tag, attrs):
      assert tag in ('table', 'tr', 'th', 'td') and not attrs
      if tag in ('th', 'td'):
        cells.append('')

    def handle_data(self, data):
      if data.strip():
        cells[-1] += data

  Reader().feed(table.as_html(MADE))
  assert cells[:5] == ['name', 'nats an image', 'count', 'note', 'a <b> & "c"']
  words = table.as_text(MADE).replace('  ', ' ').split()
  assert sorted(' '.join(cells).split()) == sorted(words)


def test_rows_are_as_long_as_the_columns():
  with pytest.raises(ValueError, match='rows must have 2 cells, got 1'):
    table.make_table(['a', 'b'], [('x',)])
