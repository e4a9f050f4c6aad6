"""What tracked points say about a hidden instance, and how that is weighed against the model of its motion.

A tracker for points that can be hidden (CoTracker) knows something that a model of motion does not; a tracker that only
follows what is seen sticks to whatever hides the instance. So points vote, and the votes are doubted: a point that
claims to be *seen* in a frame in which its instance is hidden is on something else; points that do not move together
are not on one thing; and what the motion finds impossible is not believed.
"""

from collections.abc import Mapping

import numpy as np

from samodal.motion import Prediction

HIDDEN = 0.5  # a point is believed that is seen with less than this probability
LEAST = 3  # points that must agree
STRAY = 4.0  # median deviations from the others at which a point is left out
NOISE = 0.05  # least standard deviation of a vote, in sizes of the instance
DRIFT = 0.005  # and its growth a frame, for what all points share
IMPOSSIBLE = (
    3.0  # standard deviations between vote and motion, beyond one size, at which the vote is not believed
)

Votes = Mapping[int, Prediction]
"""Hidden frame -> what the points say."""


def vote(
    starts: np.ndarray,
    ends: np.ndarray,
    visible_prob: np.ndarray,
    center: np.ndarray,
    scale: float,
    age: int,
) -> Prediction | None:
    """Where an instance is, by points on it.

    Args:
        starts: (P, 2) points (x, y) on the instance in a frame that shows it.
        ends: (P, 2) where they are in the hidden frame; nan where the tracker does not say.
        visible_prob: (P,) probability that each is seen there.
        center: (2,) centre of the instance's amodal mask in the frame that shows it.
        scale: square root of that mask's area, in pixels.
        age: frames between the two.

    Returns:
        Medians over the points that can be believed; None where there are not enough of them.
    """
    good = can_vote(ends, visible_prob)
    if good.sum() < LEAST:
        return None
    starts, ends = starts[good], ends[good]
    for _ in range(2):  # the second time without the strays of the first
        zoom = _zoom(starts, ends)
        centers = ends + zoom * (center - starts)
        middle = np.median(centers, axis=0)
        off = np.hypot(*(centers - middle).T)
        near = off <= STRAY * np.median(off) + 1.0
        starts, ends = starts[near], ends[near]
    # 1.48 median deviations are one standard deviation; of the median of n points about 1 / sqrt(n) of that is left.
    apart = 1.48 * float(np.median(off)) / len(off) ** 0.5
    sigma = float(np.hypot(apart, (NOISE + DRIFT * age) * scale))
    return Prediction((float(middle[0]), float(middle[1])), scale * zoom, sigma, sigma / scale)


def can_vote(ends: np.ndarray, visible_prob: np.ndarray) -> np.ndarray:
    """Which points can be on a hidden instance, bool (P,); arguments as of `vote`."""
    return (visible_prob < HIDDEN) & np.isfinite(ends).all(1)


def _zoom(starts: np.ndarray, ends: np.ndarray) -> float:
    """By how much the distances between points grew, in the median."""
    first, second = np.triu_indices(len(starts), 1)
    before = np.hypot(*(starts[first] - starts[second]).T)
    after = np.hypot(*(ends[first] - ends[second]).T)
    far = before > max(2.0, 0.5 * float(np.median(before)))  # of near ones, noise is all there is to see
    return float(np.clip(np.median(after[far] / before[far]), 0.5, 2.0)) if far.any() else 1.0


def fuse(motion: Prediction, votes: Prediction | None) -> Prediction:
    """Both opinions, each weighed with its inverse variance; the motion's alone where the two contradict.

    Of a steady past the motion is surer than it should be: nothing in it says that a thing can brake. So it counts
    as no surer than a vote of the first frame, and may be off by one size of the instance.
    """
    if votes is None:
        return motion
    apart = np.hypot(*np.subtract(votes.center, motion.center))
    if apart > IMPOSSIBLE * np.hypot(motion.sigma, votes.sigma) + motion.scale:
        return motion
    variance = motion.sigma**2 + (NOISE * motion.scale) ** 2
    share = variance / (variance + votes.sigma**2)
    size = motion.size_sigma**2 / (motion.size_sigma**2 + votes.size_sigma**2)
    x, y = (1 - share) * np.array(motion.center) + share * np.array(votes.center)
    return Prediction(
        (float(x), float(y)),
        float(motion.scale ** (1 - size) * votes.scale**size),
        float(motion.sigma * (1 - share) ** 0.5),
        float(motion.size_sigma * (1 - size) ** 0.5),
    )
