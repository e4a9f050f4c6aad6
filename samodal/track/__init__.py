"""Point trackers: where does a point of a frame go?

`open_tracker` gives one by its name: "lucas-kanade" (needs nothing), "cotracker" (v1, as in S-AModal), "cotracker3" and
"raft", which need a file of weights (docs/trackers.md); or one of another package, which names it under the entry point
group `samodal.trackers`:

    [project.entry-points."samodal.trackers"]
    tapir = "my_package.tapir:open_tapir"

What stands behind the colon is called with the options given to `open_tracker` and returns a `PointTracker`; with
`samodal.track.testing` its author checks that it keeps to what is asked of one. No torch here: the
trackers are imported when they are asked for.
"""

from samodal.track.interface import PointTracker, Tracks
from samodal.track.registry import open_tracker, tracker_names

__all__ = ["PointTracker", "Tracks", "open_tracker", "tracker_names"]
