import pytest
import torch

from samodal.sam import attention


def drawn(size, batch=2, heads=3, width=8, dtype=torch.float32):
    """Query, key, value and bias of `size` x `size` tokens."""
    query, key, value = torch.randn(3, batch, heads, size * size, width).to(dtype)
    tables = torch.randn(2, 2 * size - 1, width).to(dtype)
    return query, key, value, attention.relative_positions(query, *tables)


def by_definition(query, key, value, bias):
    """In float64, one bias matrix for all scores."""
    query, key, value = query.double(), key.double(), value.double()
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if bias is not None:
        size = bias[0].shape[-1]
        every = torch.arange(size * size)
        scores = scores + bias[0].double()[..., every // size] + bias[1].double()[..., every % size]
    return scores.softmax(-1) @ value


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("piece", [2**28, 36 * 36 * 4, 36 * 36, 36 * 7, 1])
@pytest.mark.parametrize("name", attention.VARIANTS)
def test_all_variants_are_one_function(name, piece, with_bias, monkeypatch):
    monkeypatch.setattr(attention, "PIECE", piece)
    *tensors, bias = drawn(6)
    expected = by_definition(*tensors, bias if with_bias else None).float()
    answer = attention.VARIANTS[name](*tensors, bias if with_bias else None)
    torch.testing.assert_close(answer, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", attention.VARIANTS)
def test_all_variants_agree_in_sixteen_bits(name):
    tensors = drawn(6, dtype=torch.bfloat16)
    answer = attention.VARIANTS[name](*tensors)
    assert answer.dtype == torch.bfloat16
    torch.testing.assert_close(answer.double(), by_definition(*tensors), atol=0.06, rtol=0.03)


def test_relative_positions_are_looked_up_by_distance():
    query, tables = torch.randn(1, 1, 16, 5), torch.randn(2, 7, 5)
    rows, columns = attention.relative_positions(query, *tables)
    asking = 4 * 2 + 1  # row 2, column 1
    torch.testing.assert_close(rows[0, 0, asking, 3], query[0, 0, asking] @ tables[0, 2 - 3 + 3])
    torch.testing.assert_close(columns[0, 0, asking, 0], query[0, 0, asking] @ tables[1, 1 - 0 + 3])


@pytest.mark.parametrize("name", ["plain", "rows", "sdpa"])
def test_gradients_are_those_of_the_definition(name):
    query, key, value, bias = drawn(4)
    leaves = [part.clone().requires_grad_() for part in (query, key, value, *bias)]

    def gradients(do):
        answer = do(*leaves[:3], (leaves[3], leaves[4]))
        return torch.autograd.grad(answer.double().square().sum(), leaves)

    for ours, right in zip(gradients(attention.VARIANTS[name]), gradients(by_definition), strict=True):
        torch.testing.assert_close(ours, right, atol=1e-4, rtol=1e-4)


def test_the_variant_follows_the_use():
    query = torch.randn(1, 1, 4, 8)
    assert attention.choose(query) == "sdpa"
    assert attention.choose(query.clone().requires_grad_()) == "plain"
    with torch.device("meta"):
        assert attention.choose(torch.empty(1, 1, 4, 8, requires_grad=True)) == "sdpa"


def test_no_tensor_of_the_size_of_the_scores_is_made():
    largest = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            largest.extend(
                t.numel() for t in (out if isinstance(out, tuple | list) else [out]) if hasattr(t, "numel")
            )
            return out

    tensors = drawn(40, batch=1, heads=2)  # 1600 tokens: 2.56 M scores a head
    with torch.no_grad(), Watch():
        attention.attend(*tensors)
    assert max(largest) <= attention.PIECE
