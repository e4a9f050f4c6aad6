import numpy as np

from samodal.prompts import corners, mask_prompts


def test_mask_prompts_say_what_is_known() -> None:
    cells = np.zeros((3, 12, 12))
    cells[0, 4:8, 2:4] = 1  # the instance
    cells[1, 4:10, 4:7] = 1  # reaches further down: stands before it
    cells[2, 1:4, 2:4] = 1  # ends above it: stands behind it
    first, second, third = mask_prompts(cells)
    assert (first[4:8, 2:4] == 6).all()
    assert (np.diff(first[5, 3:7]) < 0).all(), "the further away the less likely"
    assert first[5, 6] > first[5, 1], (
        "what another may hide is more likely inside than what lies bare beside it"
    )
    assert -1.5 <= first[5, 6] <= 3
    assert -6 <= first[3, 3] <= -3, "what stands behind hides nothing"
    assert (second[4:8, 2:4] <= -3).all()
    assert -1.5 <= third[5, 2] <= 3


def test_mask_prompts_of_nothing() -> None:
    assert mask_prompts(np.zeros((0, 5, 7))).shape == (0, 5, 7)
    assert (mask_prompts(np.zeros((1, 5, 7))) == -6).all()


def test_corners() -> None:
    mask = np.zeros((10, 12), bool)
    mask[3:5, 7:12] = True
    assert corners(mask).tolist() == [7, 3, 11, 4]
