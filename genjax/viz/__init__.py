"""Figures: image grids, filmstrips, point clouds, curves, animations.

Every function `save_*` writes one file, whole or not at all.
"""

from genjax.viz.curves import save_training_curves
from genjax.viz.images import save_filmstrips
from genjax.viz.images import save_gif
from genjax.viz.images import save_grid
from genjax.viz.images import tile
from genjax.viz.images import zoom_for
from genjax.viz.points import point_frame
from genjax.viz.points import PointPanel
from genjax.viz.points import save_point_strips
from genjax.viz.points import save_points

__all__ = [
    'PointPanel', 'point_frame', 'save_filmstrips', 'save_gif', 'save_grid',
    'save_point_strips', 'save_points', 'save_training_curves', 'tile',
    'zoom_for',
]
