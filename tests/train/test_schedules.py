import pytest

from samodal.train.options import TrainOptions
from samodal.train.schedules import learning_rate


def rates(**options) -> list[float]:
    chosen = TrainOptions(**{"steps": 100, "warmup": 10, "lr": 1.0, **options}).in_steps(10)
    return [learning_rate(step, chosen) for step in range(chosen.steps)]


@pytest.mark.parametrize("schedule", ["cosine", "poly", "step"])
def test_learning_rate_rises_and_falls(schedule: str) -> None:
    values = rates(schedule=schedule)
    assert values[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert max(values) == values[9] == values[10] == pytest.approx(1.0)
    assert values[10:] == sorted(values[10:], reverse=True)


def test_ends() -> None:
    assert rates()[-1] < 0.001
    assert rates(schedule="poly")[-1] == pytest.approx((1 - 89 / 100) ** 0.9)
    assert rates(schedule="poly", warmup=0)[50] == pytest.approx(0.5**0.9)


def test_step_cuts_after_every_few_epochs() -> None:
    values = rates(
        schedule="step", warmup=0, batch=2, epochs=6, drop_every=2, drop_factor=0.5
    )  # 5 steps an epoch
    assert values == pytest.approx([1.0] * 10 + [0.5] * 10 + [0.25] * 10)


def test_reference_is_poly_a_step_late() -> None:
    late, right = rates(schedule="reference", drop_every=1000), rates(schedule="poly")
    assert late[0] == 1.0
    assert late[1:] == pytest.approx(right[:-1])
