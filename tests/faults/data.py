"""Faults in sources, folders and their names."""

from tests.faults.fault import Fault
from tests.faults.fault import room

CACHE = 'genjax/data/pixel_cache.py'
CONDITIONS = 'genjax/diffusion/conditions.py'
FILES = 'genjax/data/folder_files.py'
FOLDER = 'genjax/data/folder.py'
LABELS = 'genjax/data/folder_labels.py'
NAMES = 'genjax/data/folder_names.py'
SOURCES = 'genjax/data/sources.py'

FAULTS = (
    Fault('names: separators are kept', NAMES, '%/\\\\<>', '%<>',
          room('data/folder_names')),
    Fault('names: the parent folder is a name', NAMES,
          "if is_hidden(coded):\n    coded = _code(coded[0]) + coded[1:]",
          'if coded == None:\n    pass', room('data/folder_names')),
    Fault('names: long ones are cut only', NAMES,
          "f'{kept}%~{digest[:32]}'", 'kept', room('data/folder_names')),
    Fault('names: any percentage is a code', NAMES,
          'return name if to_folder(name) == folder else folder',
          'return name', room('data/folder_names')),
    Fault('folder: pixels are not unpacked at opening', FOLDER,
          'if not (kept or verify):', 'if not kept:', room('data/folder')),
    Fault('folder: checksums are passed over', FOLDER,
          "if image.format == 'PNG':", 'if False:',
          room('data/folder')),
    Fault('folder: links to nothing are passed over', FILES,
          'paths = sorted(p for p in folder.iterdir()\n                   if ',
          'paths = sorted(p for p in folder.iterdir()\n'
          '                   if p.exists() and ', room('data/folder_files')),
    Fault('folder: links back go round', FILES, '(*above, here)', 'above',
          room('data/folder_files')),
    Fault('folder: files are left out without a word', FILES,
          'if others:\n', 'if False:\n', room('data/folder_files')),
    Fault('square: a transparent level by its upper byte', FOLDER,
          'levels == clear', 'levels >> 8 == clear >> 8',
          room('data/folder')),
    Fault('square: a transparent level in the depth of the file', FOLDER,
          'clear * 85', 'clear', room('data/folder')),
    Fault('cache: files that changed inside are those that were kept',
          CACHE, '*sorted(files.items())', '*sorted(files)',
          room('data/pixel_cache')),
    Fault('cache: what is damaged is taken', CACHE,
          'if not whole or ', 'if ', room('data/pixel_cache')),
    Fault('cache: the most recently used is dropped', CACHE,
          'sorted(kept, reverse=True)', 'sorted(kept)',
          room('data/pixel_cache')),
    Fault('cache: a view of what is kept loses its order', SOURCES,
          'columns_of(source.source, source.indices[rows])',
          'columns_of(source.source, rows)', room('data/pixel_cache')),
    Fault('labels: a table of some of the images', LABELS,
          'check(not absent, ', 'check(True, ', room('data/folder_labels')),
    Fault('labels: a table is no part of the data',
          'genjax/data/identity.py',
          "if table := getattr(source, 'labels_path', ''):",
          "if table := '':", room('data/folder_labels')),
    Fault('vectors: in the units of the data', CONDITIONS,
          '(vector - center) / scale', 'vector - center',
          room('runs/vectors')),
    Fault('vectors: not drawn under', 'genjax/reports/draws.py',
          'if vector is not None:', 'if False:', room('runs/vectors')),
    Fault('vectors: of other rows', SOURCES, 'vectors[rows]',
          'vectors[:len(rows)]', room('data/folder_labels')),
    Fault('sources: pixels of any type', SOURCES,
          'image.dtype == np.uint8 and image.ndim == 4', 'image.ndim == 4',
          room('data/sources')),
    Fault('sources: points may be infinite', SOURCES,
          'wrong = ~np.isfinite(', 'wrong = np.isnan(', room('data/sources')),
    Fault('sources: a mask is taken for indices', SOURCES,
          "indices.dtype.kind in 'iu'", "indices.dtype.kind in 'iub'",
          room('data/sources')),
    Fault('pipeline: elements from disk are not looked at', SOURCES,
          "    check_columns('batches', columns, class_names(source))\n", '',
          room('data/sources')),
    Fault('pipeline: floats are pixels', 'genjax/data/pipeline.py',
          "image.dtype.kind in 'iu' and", "image.dtype.kind in 'iuf' and",
          room('data/pipeline')),
    Fault('split: a class is held out whole', SOURCES,
          'order = np.concatenate([order[~last], order[last]])',
          'order = order + 0 * last', room('data/sources')),
)
