from itertools import combinations

import numpy as np
import pytest
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.prompts import STRATEGIES, PromptOptions, prompt_rng
from samodal.sam.ask import Answer, agreeing, ask
from samodal.sam.config import PROMPT_KINDS

CLIP, MODEL = toy_clip(), tiny_sam()
VISIBLE = np.stack([masks.decode(one.visible) for one in CLIP.instances(1)])
EMBEDDING = MODEL.encode(CLIP.video[1])


def answers(prompt: PromptOptions, which: slice = slice(None)) -> list[Answer]:
    rngs = [prompt_rng(0, place) for place in range(len(VISIBLE))][which]
    return ask(MODEL, EMBEDDING, VISIBLE[which], rngs, prompt, unite_visible=False, image=CLIP.video[1])


@pytest.mark.parametrize("kinds", [k for count in (1, 2, 3) for k in combinations(PROMPT_KINDS, count)])
def test_every_mix_of_prompts_is_answered_one_by_one_and_together(kinds: tuple) -> None:
    prompt = PromptOptions("max-distance", count=3, kinds=kinds)
    together = answers(prompt)
    for place, answer in enumerate(together):
        (alone,) = answers(prompt, slice(place, place + 1))
        # A mask prompt depends on the other instances of the frame: they may hide something.
        if "mask" not in kinds:
            assert (alone.amodal == answer.amodal).all()
            assert alone.score == answer.score
        assert (answer.points is None) == ("points" not in kinds)
    without = answers(PromptOptions("max-distance", count=3, kinds=PROMPT_KINDS))
    assert (len(kinds) == 3) == all(a.score == b.score for a, b in zip(together, without, strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_points_of_every_strategy_are_those_that_sam_was_shown(strategy: str) -> None:
    for mask, answer in zip(VISIBLE, answers(PromptOptions(strategy, 4, ("points",))), strict=True):
        assert answer.points is not None
        assert mask[answer.points[:, 1], answer.points[:, 0]].all()
        decoded = MODEL.decode(EMBEDDING, answer.points[None])
        assert (decoded.masks[0].numpy() == answer.amodal).all()


def test_a_rim_is_bare_unless_another_instance_may_hide_it() -> None:
    first, second, answer = np.zeros((3, 30, 40), bool)
    first[10:20, 10:20] = True
    second[8:22, 20:30] = True
    answer[8:22, 8:26] = True  # two pixels too much above, below and left; six behind the second one
    answer[10, 10] = False
    amodal, other = agreeing(np.stack([answer, second]), np.stack([first, second]), cell=3.0)
    assert (amodal == (first | (answer & second))).all()
    assert (other == second).all()


def test_what_reaches_further_than_a_rim_may_be_hidden_by_what_has_no_mask() -> None:
    seen, answer = np.zeros((2, 1, 30, 40), bool)
    seen[0, 10:20, 10:20] = True
    answer[0, 10:20, 10:35] = True  # a tree hides the rest
    amodal = agreeing(answer, seen, cell=2.0)[0]
    assert amodal[15, 22:35].all()
    assert not amodal[15, 20:22].any()
    assert agreeing(answer[:0], seen[:0], 2.0).shape == (0, 30, 40)
