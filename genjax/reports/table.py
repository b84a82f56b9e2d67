"""A table, said once: as text, as JSON, as HTML, as Markdown."""

import html
import math
from typing import Any, Mapping, NamedTuple, Sequence

from genjax.metrics.estimate import Estimate

# None is a cell that has no value.
Cell = str | int | float | Estimate | None


class Column(NamedTuple):
  """A column of a table."""

  name: str  # key of its JSON
  title: str = ''  # what a reader sees; the name where empty
  digits: str = '.3g'  # format of its numbers


class Table(NamedTuple):
  """Rows of cells under columns; the first column names the row."""

  columns: tuple[Column, ...]
  rows: tuple[tuple[Cell, ...], ...]


def make_table(
    columns: Sequence[Column | str], rows: Sequence[Sequence[Cell]]
) -> Table:
  """A table of columns, of which a name stands for itself.

  Raises:
    ValueError: a row is not as long as the columns are many.
  """
  made = tuple(Column(c) if isinstance(c, str) else c for c in columns)
  for row in rows:
    if len(row) != len(made):
      raise ValueError(f'make_table: rows must have {len(made)} cells, got '
                       f'{len(row)}')
  return Table(made, tuple(tuple(row) for row in rows))


def as_text(table: Table) -> str:
  """Lines of text: words to the left, numbers to the right."""
  cells = [[_text(cell, column) for cell, column in zip(row, table.columns)]
           for row in table.rows]
  titles = [column.title or column.name for column in table.columns]
  widths = [max(map(len, (title, *(row[i] for row in cells))))
            for i, title in enumerate(titles)]
  words = [all(cell is None or isinstance(cell, str)
               for cell in (row[i] for row in table.rows))
           for i in range(len(titles))]

  def line(row: Sequence[str]) -> str:
    return '  '.join(text.ljust(width) if left else text.rjust(width)
                     for text, width, left in zip(row, widths, words)).rstrip()

  return '\n'.join(map(line, [titles, *cells]))


def as_json(table: Table) -> list[dict[str, Any]]:
  """A record a row, by the names of the columns; estimates by their parts."""
  return [{column.name: _value(cell)
           for cell, column in zip(row, table.columns)} for row in table.rows]


def as_html(table: Table) -> str:
  """A <table>, in which whatever the cells hold is text."""

  def row(cells: Sequence[str], tag: str) -> str:
    return ('<tr>' + ''.join(f'<{tag}>{html.escape(cell)}</{tag}>'
                             for cell in cells) + '</tr>')

  lines = [row([c.title or c.name for c in table.columns], 'th')]
  lines += [row([_text(cell, column)
                 for cell, column in zip(cells, table.columns)], 'td')
            for cells in table.rows]
  return '\n'.join(['<table>', *lines, '</table>'])


def as_markdown(table: Table) -> str:
  """A table of GitHub's Markdown: the first column left, the others right."""
  titles = [column.title or column.name for column in table.columns]
  rows = [titles, ['---', *['---:'] * (len(titles) - 1)]]
  rows += [[_text(cell, column) for cell, column in zip(row, table.columns)]
           for row in table.rows]
  return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def records(table: Table) -> Mapping[str, dict[str, Any]]:
  """The rows of `as_json` by their first cell."""
  first = table.columns[0].name
  return {str(record[first]): record for record in as_json(table)}


def _text(cell: Cell, column: Column) -> str:
  if cell is None:
    return ''
  if isinstance(cell, Estimate):
    value, low, high = (format(x, column.digits) for x in cell)
    return f'{value} ({low}, {high})'
  if isinstance(cell, float) and math.isfinite(cell):
    return format(cell, column.digits)
  return str(cell)


def _value(cell: Cell) -> Any:
  return cell._asdict() if isinstance(cell, Estimate) else cell
