import numpy as np
import pytest
import sam_golden
import torch

from samodal.sam import AmodalSam
from samodal.sam.adapters import high_pass
from samodal.sam.encoder import join_windows, split_windows


def golden_encoder(case):
    """The model of a case, its input, and what the original made of it."""
    about, arrays = sam_golden.read(case)
    side, channels = about["config"]["img_size"], about["config"]["out_chans"]
    state = {
        "image_encoder." + name: value
        for name, value in sam_golden.weights(case, about["weight_scale_s"]).items()
    }
    # The case has no decoder; any one completes the model.
    rest = sam_golden.small_config(image=side)
    rest.vision_config.output_channels = rest.prompt_encoder_config.hidden_size = channels
    rest.mask_decoder_config.hidden_size, rest.vision_config.num_pos_feats = channels, channels // 2
    for name, value in AmodalSam(rest).to_original().items():
        if not name.startswith("image_encoder."):
            state[name] = value
    model = AmodalSam.from_original(state, sam_golden.ADAPTERS[about["mode"]], pad_before_norm=True)
    if about["mode"] != "adapt":
        model = AmodalSam.from_original(state, sam_golden.ADAPTERS[about["mode"]])
    shape = (about["batch"], 3, side, side)
    pixels = np.random.default_rng(about["input_seed"]).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(pixels.ravel()[:8], arrays["input_first8"])
    return model, torch.from_numpy(pixels), arrays


@pytest.mark.parametrize("case", sam_golden.cases("01_image_encoder"), ids=lambda case: case.stem)
def test_embedding_and_blocks_are_those_of_the_original(case):
    model, pixels, arrays = golden_encoder(case)
    seen = {}
    layers = model.vision_encoder.layers
    layers[0].register_forward_hook(lambda *args: seen.update(block0_out=args[2]))
    layers[-1].register_forward_hook(lambda *args: seen.update(last_block_out=args[2]))
    with torch.no_grad():
        embedding = model.encode_pixels(pixels).numpy()
    np.testing.assert_allclose(embedding, arrays["embedding"], atol=2e-5)
    if "block0_out" in arrays:  # of large cases the first and the last four rows were kept
        rows = arrays["block0_out"].shape[1]
        np.testing.assert_allclose(seen["block0_out"][:, :rows], arrays["block0_out"], atol=2e-5)
        np.testing.assert_allclose(seen["last_block_out"][:, -rows:], arrays["last_block_out"], atol=2e-5)


@pytest.mark.parametrize(
    "case",
    [c for c in sam_golden.cases("01_image_encoder") if "samadpt" in c.stem],
    ids=lambda case: case.stem,
)
def test_prompts_of_sam_adapter_are_those_of_the_original(case):
    model, pixels, arrays = golden_encoder(case)
    generator = model.vision_encoder.prompt_generator
    with torch.no_grad():
        patches = model.vision_encoder.patch_embed(pixels)
        feature = generator.feature(high_pass(pixels), patches)
    handcrafted = arrays["handcrafted_feature"].transpose(0, 2, 3, 1)
    expected = handcrafted + arrays["embedding_feature"].reshape(handcrafted.shape)
    np.testing.assert_allclose(feature, expected, atol=5e-5)
    for block, prompt in enumerate(arrays.get("prompts", [])):
        ours = generator(feature, block).detach().flatten(1, 2)[:, : prompt.shape[1]]
        np.testing.assert_allclose(ours, prompt, atol=2e-5)
    if "highpass_b0c0" in arrays:
        passed = high_pass(pixels).numpy()
        np.testing.assert_allclose(passed[0, 0], arrays["highpass_b0c0"], atol=1e-5)
        np.testing.assert_allclose(
            passed[-1, -1, 10:42, 20:60], arrays["highpass_lastb_lastc_crop"], atol=1e-5
        )


def test_the_original_adapter_block_differs_from_the_right_one():
    case = sam_golden.COPIES / "01_image_encoder/small_adapt_s0.15.npz"
    model, pixels, arrays = golden_encoder(case)
    for layer in model.vision_encoder.layers:
        layer.pad_before_norm = False
    with torch.no_grad():
        difference = np.abs(model.encode_pixels(pixels).numpy() - arrays["embedding"]).max()
    assert difference > 0.05


@pytest.mark.parametrize("pad_before_norm", [False, True])
def test_padding_after_the_projection_is_padding_before_it(pad_before_norm):
    block = sam_golden.random_model(pad_before_norm=pad_before_norm).vision_encoder.layers[0]
    torch.nn.init.normal_(block.layer_norm1.bias)
    tokens = torch.randn(2, 8, 8, 64)  # windows of 3: one row and one column too few
    padded = torch.nn.functional.pad(tokens, (0, 0, 0, 1, 0, 1))
    normed = block.layer_norm1(padded)
    if not pad_before_norm:
        normed[:, 8:], normed[:, :, 8:] = 0, 0
    expected = join_windows(block.attn(split_windows(normed, 3)), 3, padded.shape[1:3])[:, :8, :8]
    torch.testing.assert_close(block.attend(tokens), expected, atol=1e-5, rtol=1e-5)


def test_windows_split_and_join():
    tokens = torch.arange(2 * 6 * 9 * 5).view(2, 6, 9, 5)
    windows = split_windows(tokens, 3)
    assert windows.shape == (12, 3, 3, 5)
    assert torch.equal(windows[1], tokens[0, :3, 3:6])
    assert torch.equal(join_windows(windows, 3, tokens.shape[1:3]), tokens)


def test_high_pass_removes_what_is_slow_and_keeps_what_is_fast():
    x = torch.arange(64) / 64 * 2 * torch.pi
    slow, fast = torch.cos(3 * x).expand(1, 1, 64, 64), torch.cos(25 * x).expand(1, 1, 64, 64)
    assert high_pass(slow).max() < 1e-4
    torch.testing.assert_close(high_pass(slow + fast), fast.abs(), atol=1e-4, rtol=0)
    # Each image and channel for itself, and no shift between them.
    both = torch.cat([slow, fast], dim=1)
    torch.testing.assert_close(high_pass(both)[:, 1:], high_pass(fast))


@pytest.mark.parametrize(
    ("height", "width", "rate"), [(64, 64, 0.25), (32, 48, 0.3), (33, 31, 0.25), (16, 16, 1.0)]
)
def test_high_pass_by_its_definition(height, width, rate):
    pixels = torch.randn(2, 3, height, width)
    half = int((height * width * rate) ** 0.5 // 2)
    spectrum = torch.fft.fftshift(torch.fft.fft2(pixels.double()), dim=(-2, -1))
    y, x = height // 2, width // 2
    spectrum[..., max(0, y - half) : y + half, max(0, x - half) : x + half] = 0
    expected = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.abs()
    torch.testing.assert_close(high_pass(pixels, rate).double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("adapter", ["none", "sam-adapter", "medical-adapter"])
def test_gradients_reach_every_weight_of_the_encoder(adapter):
    model = sam_golden.random_model(adapter=adapter)
    model.encode_pixels(torch.randn(1, 3, 128, 128)).square().sum().backward()
    without = [name for name, weight in model.vision_encoder.named_parameters() if weight.grad is None]
    assert without == []
