"""Results to look at: frames with the masks drawn on them, and a report page."""

from samodal.show.overlay import draw_frame, overlay_frames, write_overlay
from samodal.show.report import write_report

__all__ = ["draw_frame", "overlay_frames", "write_overlay", "write_report"]
