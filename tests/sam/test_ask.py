import numpy as np

from samodal.sam.ask import agreeing


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
