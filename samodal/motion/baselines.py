"""The simplest models of a hidden instance: whatever recovers has to beat them (see benchmarks/bench_recovery.py)."""

from collections.abc import Sequence

import numpy as np

from samodal.motion import EgoMotion, Prediction
from samodal.motion.measure import measure
from samodal.motion.observation import Observation


class HoldLast:
    """The instance stays where it was last seen, in the image."""

    def predict(
        self, before: Sequence[Observation], frame: int, ego: EgoMotion, after: Sequence[Observation] = ()
    ) -> Prediction:
        """The last centre and size; `ego` and `after` are not looked at."""
        x, y = before[-1].center
        return Prediction((float(x), float(y)), float(measure(before).scales[-1]), 0.0, 0.0)


class ConstantVelocity:
    """The centre goes on in a straight line through the image, the size stays.

    Args:
        length: how many of the last observations the line is fitted to.
    """

    def __init__(self, length: int = 5) -> None:
        self.length = length

    def predict(
        self, before: Sequence[Observation], frame: int, ego: EgoMotion, after: Sequence[Observation] = ()
    ) -> Prediction:
        """A least-squares line through the last centres; `ego` and `after` are not looked at."""
        last = before[-self.length :]
        times = np.array([o.frame for o in last], np.float64) - frame
        centers = np.array([o.center for o in last])
        line = np.polynomial.polynomial.polyfit(times, centers, min(1, len(last) - 1))
        size = float(measure(before).scales[-1])
        return Prediction((float(line[0, 0]), float(line[0, 1])), size, 0.0, 0.0)
