"""Which solid hides which: lines on the ground that separate convex footprints.

A line of sight crosses a vertical plane between two solids once, so the solid on the camera's side is the
nearer one. Seen from one point, disjoint convex footprints can always be sorted in this way.
"""

import numpy as np

from samodal.data.synthetic.solids import far_to_near

TOUCH = 0.02
"""Metres by which footprints may overlap and still count as separated."""


def sort_footprints(corners: np.ndarray, eye: np.ndarray, spans: np.ndarray) -> list[int]:
    """Far to near.

    Args:
        corners: (N, 4, 2) rectangles on the ground, counter-clockwise.
        eye: (2,) ground position of the camera.
        spans: (N, 2) first and last image column of each; only those that share columns can hide each other.
    """
    count = len(corners)
    if count == 0:
        return []
    edges = np.roll(corners, -1, axis=1) - corners
    normals = np.stack([edges[..., 1], -edges[..., 0]], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    offsets = (normals * corners).sum(-1)
    heights = normals.reshape(-1, 2) @ corners.reshape(-1, 2).T
    beyond = heights.reshape(count, 4, count, 4).min(-1) - offsets[..., None] >= -TOUCH
    outside = normals @ eye - offsets > 0
    # [i, j]: an edge of i has j beyond it, and the camera on i's side or on j's.
    first_nearer = (beyond & ~outside[..., None]).any(1)
    second_nearer = (beyond & outside[..., None]).any(1)
    nearer = first_nearer | second_nearer.T
    nearer &= ~nearer.T
    shared = (spans[:, None, 0] <= spans[None, :, 1]) & (spans[None, :, 0] <= spans[:, None, 1])
    distance = np.linalg.norm(corners.mean(1) - eye, axis=1)
    unsorted = shared & ~nearer & ~nearer.T & ~(first_nearer | second_nearer.T)
    nearer |= unsorted & (distance[:, None] < distance[None, :])
    return far_to_near(nearer & shared, distance)


def rectangles(poses: np.ndarray, lengths: np.ndarray | float, widths: np.ndarray | float) -> np.ndarray:
    """Corners (N, 4, 2), counter-clockwise, of rectangles at poses (N, 3) x, y, heading; length along it."""
    sin, cos = np.sin(poses[:, 2]), np.cos(poses[:, 2])
    along = np.stack([cos, sin], -1) * np.reshape(lengths, (-1, 1)) / 2
    across = np.stack([-sin, cos], -1) * np.reshape(widths, (-1, 1)) / 2
    corners = np.stack([-along - across, along - across, along + across, across - along], 1)
    return poses[:, None, :2] + corners


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Do rectangles a and b (..., 4, 2) overlap; one bool each."""
    result: np.ndarray = np.ones(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), bool)
    for shape in (a, b):
        for k in range(2):
            edge = shape[..., k + 1, :] - shape[..., k, :]
            normal = np.stack([edge[..., 1], -edge[..., 0]], axis=-1)[..., None, :]
            on_a, on_b = (a * normal).sum(-1), (b * normal).sum(-1)
            result &= (on_a.max(-1) > on_b.min(-1)) & (on_b.max(-1) > on_a.min(-1))
    return result
