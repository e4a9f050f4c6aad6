"""What one frame shows around an instance."""

from dataclasses import dataclass

import numpy as np

from samodal.masks import Runs, Window


@dataclass(frozen=True)
class Scenery:
    """What a frame shows of an instance, and of all instances together.

    Attributes:
        scene: all that any instance shows of itself.
        visible: what this one shows; None where nothing of it is seen.
    """

    scene: Runs
    visible: Runs | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.scene.size

    def seen(self, window: Window) -> np.ndarray:
        """Where the instance is seen, bool (h, w)."""
        return self.scene.nowhere(window) if self.visible is None else self.visible.part(window)

    def others(self, window: Window) -> np.ndarray:
        """Where another instance is seen, bool (h, w)."""
        return self.scene.part(window) & ~self.seen(window)

    def evidence(self, window: Window) -> np.ndarray:
        """What each pixel says, float32 (h, w): 1 it is seen, -1 nothing is, 0 another one is, or outside the image."""
        seen = self.seen(window)
        bare = self.scene.inside(window) & ~(self.scene.part(window) | seen)
        return seen.astype(np.float32) - bare
