"""Results to look at: frames with the masks drawn on them, a report page, figures."""

from samodal.show.figure import Pictures, write_figure
from samodal.show.overlay import draw_frame, overlay_frames, write_overlay
from samodal.show.report import write_report

__all__ = ["Pictures", "draw_frame", "overlay_frames", "write_figure", "write_overlay", "write_report"]
