"""Prompts: from the visible mask of an instance to the points, the box and the mask that SAM is asked with."""

from samodal.prompts.options import PromptKind, PromptOptions
from samodal.prompts.points import STRATEGIES, pick_points, points_of_frame, prompt_rng
from samodal.prompts.saliency import Saliency, load_saliency, saliency_map
from samodal.prompts.shape import corners, mask_prompts

__all__ = [
    "STRATEGIES",
    "PromptKind",
    "PromptOptions",
    "Saliency",
    "corners",
    "load_saliency",
    "mask_prompts",
    "pick_points",
    "points_of_frame",
    "prompt_rng",
    "saliency_map",
]
