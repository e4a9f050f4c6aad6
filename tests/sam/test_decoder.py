"""Our arrangement of the mask decoder against that of transformers, with the same weights."""

import pytest
import torch
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig
from transformers.models.sam.modeling_sam import SamMaskDecoder

from samodal.sam.decoder import MaskDecoder
from samodal.sam.images import rows

CHANNELS, GRID = 32, 6


@pytest.fixture(scope="module")
def decoders() -> tuple[MaskDecoder, SamMaskDecoder]:
    config = SamMaskDecoderConfig(
        hidden_size=CHANNELS, mlp_dim=48, num_attention_heads=4, attn_implementation="eager"
    )
    torch.manual_seed(0)
    theirs = SamMaskDecoder(config)
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn(weight.shape), alpha=0.2)  # biases, too
    ours = MaskDecoder(config)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def both(decoders, images: int, prompts: int, tokens: int | None, multimask: bool):
    """What the two say, and their inputs: images, positions, dense prompts, tokens."""
    ours, theirs = decoders
    generator = torch.Generator().manual_seed(1)
    shape = CHANNELS, GRID, GRID
    image, dense = (
        torch.randn(images, *shape, generator=generator).requires_grad_(),
        torch.randn(images, *shape, generator=generator),
    )
    positions = torch.randn(1, *shape, generator=generator)
    shown = None
    if tokens is not None:
        shown = torch.randn(images, prompts, tokens, CHANNELS, generator=generator).requires_grad_()
    their = theirs(image, positions.expand(images, -1, -1, -1), shown, dense, multimask)
    our = ours(rows(image + dense)[:, None], rows(positions)[0], shown, multimask)
    return our, their, [image] if shown is None else [image, shown]


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize(
    ("images", "prompts", "tokens"), [(1, 1, 2), (2, 3, 5), (2, 1, None), (1, 4, 0), (1, 1, 20)]
)
def test_answers_and_gradients_are_those_of_transformers(decoders, images, prompts, tokens, multimask):
    our, their, inputs = both(decoders, images, prompts, tokens, multimask)
    gradients = []
    for model, answer in zip(decoders, (our, their), strict=True):
        loss = sum((part * torch.arange(part.numel()).view(part.shape).cos()).sum() for part in answer)
        names, weights = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(loss, [*inputs, *weights], allow_unused=True)
        gradients.append(dict(zip([*map(str, range(len(inputs))), *names], found, strict=True)))
    for ours, theirs in zip(our, their, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    for name, theirs in gradients[1].items():
        ours = gradients[0][name]
        if "cross_attn_token_to_image.k_proj.bias" in name or "final_attn_token_to_image.k_proj.bias" in name:
            # It adds the same to all scores that a softmax compares: nothing, but for rounding.
            assert ours is None
            assert theirs.abs().max() < 1e-3
        else:
            torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")


def test_prompts_of_one_image_can_have_cells_of_their_own(decoders):
    ours, _ = decoders
    cells, tokens = torch.randn(1, 3, GRID**2, CHANNELS), torch.randn(1, 3, 2, CHANNELS)
    positions = torch.randn(GRID**2, CHANNELS)
    logits, scores = ours(cells, positions, tokens, True)
    for n in range(3):
        alone = ours(cells[:, n : n + 1], positions, tokens[:, n : n + 1], True)
        torch.testing.assert_close(logits[:, n : n + 1], alone[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(scores[:, n : n + 1], alone[1], atol=1e-5, rtol=1e-5)
