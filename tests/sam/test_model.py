import numpy as np
import pytest
import sam_golden
import torch
from transformers import SamConfig, SamModel

from samodal.errors import InputError
from samodal.sam import AmodalSam, AmodalSamConfig, FrameEmbedding, images, nano_config, vit_config
from samodal.sam.adapters import is_adapter


@pytest.fixture(scope="module")
def model():
    return sam_golden.random_model()


@pytest.fixture(scope="module")
def frame():
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(3)
    return {
        "points": rng.uniform(0, 60, (7, 3, 2)),
        "labels": rng.integers(-1, 2, (7, 3)),
        "boxes": np.sort(rng.uniform(0, 60, (7, 2, 2)), axis=1).reshape(7, 4),
        "mask_prompts": rng.standard_normal((7, 32, 32)),
    }


# --- the original ---


def golden_model(case):
    about, arrays = sam_golden.read(case)
    state = sam_golden.weights(case, about["weight_scale_s"])
    # As a user would write it. The decoder's heads are not in the shapes.
    parts = sam_golden.small_config().to_dict()
    config = SamConfig(**{name: parts[name] for name in parts if name.endswith("_config")})
    config.mask_decoder_config.layer_norm_eps = 1e-6
    adapt = about["mode"] == "adapt"
    model = AmodalSam.from_original(
        state, sam_golden.ADAPTERS[about["mode"]], config, pad_before_norm=True if adapt else None
    )
    return model, about, arrays


@pytest.mark.parametrize("case", sam_golden.cases("02_sam_forward"), ids=lambda case: case.stem)
def test_whole_model_is_that_of_the_original(case):
    model, about, arrays = golden_model(case)
    small = about["weight_scale_s"] < 0.1
    close = {"atol": 2e-7, "rtol": 1e-3} if small else {"atol": 2e-5}
    pixels = images.to_pixels(arrays["image_resized"].transpose(1, 2, 0), 128)
    with torch.no_grad():
        embedding = model.encode_pixels(pixels[None])
    np.testing.assert_allclose(embedding, arrays["image_embedding"], atol=2e-5)
    np.testing.assert_allclose(model.image_positions().detach(), arrays["dense_pe"], atol=2e-5)

    original, resized = tuple(about["original_size_hw"]), tuple(about["input_size_hw"])
    frame = FrameEmbedding(torch.from_numpy(arrays["image_embedding"][0]), original, resized)
    for count in (1, 3):
        points, labels = arrays["points_orig_xy"][:, :count], arrays["labels"][:, :count]
        scaled = images.scale_points(torch.from_numpy(points), original, resized)
        np.testing.assert_allclose(scaled, arrays[f"coords_input_{count}pt"], atol=1e-4)
        for multimask in (0, 1):
            name = f"{count}pt_mm{multimask}"
            if f"low_res_{name}" not in arrays:
                continue
            decoded = model.decode(frame, points, labels, multimask=bool(multimask))
            np.testing.assert_allclose(decoded.low_res, arrays[f"low_res_{name}"], **close)
            np.testing.assert_allclose(decoded.scores, arrays[f"iou_{name}"], **close)
            full = images.logits_to_frame(decoded.low_res[:1], 128, resized, original)
            for key in (f"upscaled_{name}_prompt0", f"upscaled_{name}_prompt0_rows_first8"):
                if key in arrays:
                    rows = arrays[key].shape[2]
                    np.testing.assert_allclose(full[:, :, :rows], arrays[key], **close)
            if not multimask:
                shape = arrays[f"binary_shape_{name}"]
                binary = np.unpackbits(arrays[f"binary_{name}"])[: shape.prod()].reshape(shape)[:, 0]
                assert (binary != decoded.masks.numpy()).mean() <= 0.001


@pytest.mark.parametrize("case", sam_golden.cases("02_sam_forward"), ids=lambda case: case.stem)
def test_prompts_are_encoded_as_in_the_original(case):
    model, _, arrays = golden_model(case)

    def encode(points=None, labels=None, boxes=None, mask=None):
        given = [
            None if part is None else torch.from_numpy(part)[None].float() for part in (points, labels, boxes)
        ]
        with torch.no_grad():
            sparse, dense = model.prompt_encoder(*given, mask)
        return None if sparse is None else sparse[0], dense

    for count in (1, 3):
        sparse, _ = encode(arrays[f"coords_input_{count}pt"], arrays["labels"][:, :count])
        np.testing.assert_allclose(sparse, arrays[f"sparse_{count}pt"], atol=2e-5)
    np.testing.assert_allclose(encode(boxes=arrays["box_input"])[0], arrays["sparse_box"], atol=2e-5)
    both = encode(arrays["coords_input_3pt"][:2], arrays["labels"][:2], arrays["box_input"])[0]
    np.testing.assert_allclose(both, arrays["sparse_3pt_plus_box"], atol=2e-5)
    rng = np.random.default_rng(int(arrays["mask_prompt_seed"]))
    mask = torch.from_numpy(rng.standard_normal((2, 1, 32, 32))).float()
    np.testing.assert_allclose(encode(mask=mask)[1], arrays["dense_from_mask"], atol=2e-5)


# --- transformers ---


def test_agrees_with_transformers(model, frame, prompts, tmp_path):
    model.save_pretrained(tmp_path)
    oracle = SamModel.from_pretrained(tmp_path).eval()
    embedding = model.encode(frame)
    pixels = images.to_pixels(images.resize_frame(frame, 128), 128)[None]
    scaled = images.input_prompts((60, 100), embedding.input_size, 32, **prompts)
    points, labels = scaled["points"].float()[None], scaled["labels"][None].long()
    boxes = scaled["boxes"].float()[None]
    with torch.no_grad():
        torch.testing.assert_close(
            embedding.embedding[None], oracle.get_image_embeddings(pixels), atol=2e-5, rtol=0
        )
        for given, asked in (
            ({"points": points, "labels": labels}, ("points", "labels")),
            ({"boxes": boxes}, ("boxes",)),
            ({"points": points, "labels": labels, "boxes": boxes}, ("points", "labels", "boxes")),
        ):
            expected = oracle(
                image_embeddings=embedding.embedding[None],
                **{"input_" + name: value for name, value in given.items()},
                multimask_output=True,
            )
            decoded = model.decode(embedding, **{name: prompts[name] for name in asked}, multimask=True)
            torch.testing.assert_close(decoded.low_res, expected.pred_masks[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(decoded.scores, expected.iou_scores[0], atol=1e-5, rtol=0)
        decoded = model.decode(embedding, **prompts)
        for index in range(len(points[0])):
            expected = oracle(
                image_embeddings=embedding.embedding[None],
                input_points=points[:, index : index + 1],
                input_labels=labels[:, index : index + 1],
                input_boxes=boxes[:, index : index + 1],
                input_masks=scaled["mask_prompts"][None, index : index + 1].float(),
                multimask_output=False,
            )
            torch.testing.assert_close(decoded.low_res[index], expected.pred_masks[0, 0], atol=1e-5, rtol=0)


def test_saved_by_transformers_is_read_and_computes_the_same(frame, tmp_path):
    parts = sam_golden.small_config().to_dict()
    config = SamConfig(**{name: parts[name] for name in parts if name.endswith("_config")})
    config.mask_decoder_config.layer_norm_eps = 1e-3
    oracle = SamModel(config).eval()
    oracle.save_pretrained(tmp_path)
    model = AmodalSam.from_pretrained(tmp_path)
    assert model.config.mask_decoder_config.layer_norm_eps == 1e-3
    pixels = images.to_pixels(images.resize_frame(frame, 128), 128)[None]
    points = torch.tensor([[[[30.0, 20.0]]]])
    with torch.no_grad():
        expected = oracle(pixels, points, multimask_output=False)
    decoded = model.decode(model.encode(frame), points[0].numpy() * 100 / 128)
    torch.testing.assert_close(decoded.low_res, expected.pred_masks[0], atol=1e-4, rtol=0)


# --- decoding ---


@pytest.mark.parametrize(
    "kinds", [("points", "labels"), ("boxes",), ("mask_prompts",), ("points", "mask_prompts")]
)
def test_no_bit_depends_on_the_chunk_or_the_company(model, frame, prompts, kinds):
    embedding = model.encode(frame)
    given = {name: prompts[name] for name in kinds}
    whole = model.decode(embedding, **given)
    for chunk in (1, 2, 3, 100):
        decoded = model.decode(embedding, **given, chunk=chunk)
        for name in ("masks", "low_res", "scores"):
            assert torch.equal(getattr(decoded, name), getattr(whole, name))
    for index in (0, 4):
        alone = model.decode(embedding, **{name: value[index : index + 1] for name, value in given.items()})
        assert torch.equal(alone.low_res[0], whole.low_res[index])
        assert torch.equal(alone.masks[0], whole.masks[index])


def test_no_bit_of_an_embedding_depends_on_the_company(model, frame):
    frames = [frame, frame[:, ::-1], frame[:30]]
    frames = [np.ascontiguousarray(frame) for frame in frames]
    for embedding, alone in zip(model.encode_batch(frames), frames, strict=True):
        assert torch.equal(embedding.embedding, model.encode(alone).embedding)
        assert embedding.original_size == alone.shape[:2]
    for company in (frames, frames[:1], frames * 2):
        for embedding, expected in zip(
            model.encode_batch(company, 2), model.encode_batch(frames * 2, 2), strict=False
        ):
            assert torch.equal(embedding.embedding, expected.embedding)
            assert embedding.input_size == expected.input_size
    for embedding, alone in zip(model.encode_batch(frames, 2), frames, strict=True):
        torch.testing.assert_close(embedding.embedding, model.encode(alone).embedding, atol=1e-5, rtol=1e-4)


def test_shapes_of_the_answer(model, frame, prompts):
    embedding = model.encode(frame)
    assert embedding.embedding.shape == (32, 8, 8)
    one = model.decode(embedding, prompts["points"])
    assert one.masks.shape == (7, 60, 100)
    assert one.masks.dtype == torch.bool
    assert one.low_res.shape == (7, 1, 32, 32)
    assert one.scores.shape == (7, 1)
    three = model.decode(embedding, prompts["points"], multimask=True)
    assert three.masks.shape == (7, 3, 60, 100)
    assert three.scores.shape == (7, 3)


def test_no_instances_give_no_masks(model, frame):
    embedding = model.encode(frame)
    assert model.decode(embedding, np.zeros((0, 1, 2))).masks.shape == (0, 60, 100)
    assert model.decode(embedding, boxes=np.zeros((0, 4)), multimask=True).masks.shape == (0, 3, 60, 100)


def test_points_without_labels_are_on_the_object(model, frame, prompts):
    embedding = model.encode(frame)
    ones = model.decode(embedding, prompts["points"], np.ones((7, 3)))
    assert torch.equal(model.decode(embedding, prompts["points"]).low_res, ones.low_res)


def test_an_answer_is_a_mask_prompt_as_it_is(model, frame, prompts):
    embedding = model.encode(frame)
    low_res = model.decode(embedding, prompts["points"]).low_res
    again = model.decode(embedding, mask_prompts=low_res).low_res
    assert torch.equal(again, model.decode(embedding, mask_prompts=low_res[:, 0]).low_res)


def test_coarse_points_are_not_made_coarser(model, frame):
    embedding = model.encode(frame)
    point = torch.tensor([[[63.0, 37.0]]])
    coarse = model.decode(embedding, point.bfloat16()).low_res
    assert torch.equal(coarse, model.decode(embedding, point).low_res)


def test_a_configuration_is_not_changed_by_its_model():
    config = sam_golden.small_config()
    before = config.mask_decoder_config._attn_implementation
    AmodalSam(config)
    assert config.mask_decoder_config._attn_implementation == before


def test_place_of_a_padding_point_does_not_matter(model, frame):
    embedding = model.encode(frame)
    points = np.array([[[20.0, 30.0], [0.0, 0.0]]])
    elsewhere = np.array([[[20.0, 30.0], [55.0, 7.0]]])
    labels = [[1, -1]]
    decoded = model.decode(embedding, points, labels)
    assert torch.equal(decoded.low_res, model.decode(embedding, elsewhere, labels).low_res)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "nothing to decode"),
        ({"labels": [[1]]}, "labels are given without points"),
        ({"points": np.zeros((3, 2))}, r"points must be of shape \(\*, \*, 2\), not \(3, 2\)"),
        ({"points": np.zeros((3, 1, 2)), "labels": np.zeros((3, 2))}, r"labels must be of shape \(3, 1\)"),
        ({"points": np.zeros((1, 1, 2)), "labels": [[-10]]}, "labels must be 1"),
        ({"points": np.zeros((3, 1, 2)), "boxes": np.zeros((2, 4))}, "different numbers of instances"),
        ({"mask_prompts": np.zeros((3, 16, 16))}, r"mask_prompts must be of shape \(\*, 32, 32\)"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(model, frame, given, message):
    with pytest.raises(InputError, match=message):
        model.decode(model.encode(frame), **given)


def test_pixels_of_another_size_are_refused(model):
    with pytest.raises(InputError, match=r"pixels must be \(B, 3, 128, 128\)"):
        model.encode_pixels(torch.zeros(1, 3, 128, 64))


# --- training ---


@pytest.mark.parametrize("with_masks", [False, True])
def test_training_sees_what_decode_sees(model, frame, prompts, with_masks):
    names = ("points", "labels", "mask_prompts") if with_masks else ("points", "labels")
    given = {name: prompts[name] for name in names}
    embeddings = [model.encode(frame), model.encode(frame[::-1].copy())]
    scaled = images.input_prompts(
        (60, 100), embeddings[0].input_size, 32, **({"boxes": None, "mask_prompts": None} | given)
    )
    batch = {name: torch.stack([value, value.flip(0)]).float() for name, value in scaled.items()}
    logits, scores = model.low_res_logits(torch.stack([e.embedding for e in embeddings]), **batch)
    assert logits.shape == (2, 7, 1, 32, 32)
    assert scores.shape == (2, 7, 1)
    for image, order in enumerate([slice(None), slice(None, None, -1)]):
        decoded = model.decode(embeddings[image], **{name: value[order] for name, value in given.items()})
        torch.testing.assert_close(logits[image], decoded.low_res, atol=1e-5, rtol=0)
        torch.testing.assert_close(scores[image], decoded.scores, atol=1e-5, rtol=0)


def test_positions_stay_exact_under_autocast(model, frame):
    embedding = model.encode(frame).embedding[None]
    points, labels = torch.full((1, 1, 1, 2), 37.3), torch.ones(1, 1, 1)
    seen = []
    hook = model.prompt_encoder.register_forward_hook(lambda *args: seen.append(args[2][0]))
    with torch.no_grad():
        model.low_res_logits(embedding, points, labels)
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model.low_res_logits(embedding, points, labels)
    hook.remove()
    assert torch.equal(*seen)
    assert logits.dtype == torch.float32


def test_a_new_adapter_changes_nothing_and_is_what_trains(model, frame, tmp_path):
    model.save_pretrained(tmp_path)
    before = model.encode(frame).embedding
    for adapter in ("sam-adapter", "medical-adapter"):
        adapted = AmodalSam.from_pretrained(tmp_path, adapter=adapter, seed=5)
        assert torch.equal(adapted.encode(frame).embedding, before)
        assert adapted.config.adapter == adapter
        again = AmodalSam.from_pretrained(tmp_path, adapter=adapter, seed=5)
        other = AmodalSam.from_pretrained(tmp_path, adapter=adapter, seed=6)
        names = [name for name, _ in adapted.named_parameters() if is_adapter(name)]
        first, second, third = ([m.get_parameter(name) for name in names] for m in (adapted, again, other))
        assert all(map(torch.equal, first, second))
        assert not all(map(torch.equal, first, third))
        assert {name for name, _ in adapted.named_parameters()} - set(names) == dict(
            model.named_parameters()
        ).keys()


def test_first_weights_depend_on_the_seed_only():
    first = AmodalSam(sam_golden.small_config(adapter="sam-adapter"), seed=1)
    torch.rand(5)
    second = AmodalSam(sam_golden.small_config(adapter="sam-adapter"), seed=1)
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert not torch.equal(
        AmodalSam(first.config, seed=2).mask_decoder.iou_token.weight, first.mask_decoder.iou_token.weight
    )
    assert abs(first.shared_image_embedding.positional_embedding.std() - 1) < 0.5
    assert not first.shared_image_embedding.positional_embedding.requires_grad


# --- sizes and files ---


def test_sizes_that_have_a_name():
    def millions(config):
        with torch.device("meta"):
            return sum(weight.numel() for weight in AmodalSam(config, seed=None).parameters()) / 1e6

    assert 4.5 < millions(nano_config()) < 5.2
    for name, expected in (("vit_b", 93.7), ("vit_l", 312.3), ("vit_h", 641.1)):
        assert abs(millions(vit_config(name)) - expected) < 0.1
    with pytest.raises(InputError, match="vit_x"):
        vit_config("vit_x")


@pytest.mark.parametrize("extra", [{"adapter": "other"}, {"prompt_kinds": ["text"]}])
def test_configurations_that_do_not_exist_are_refused(extra):
    with pytest.raises(InputError):
        AmodalSamConfig(**extra)


@pytest.mark.parametrize("dtype", [None, torch.float16])
@pytest.mark.parametrize("adapter", ["none", "sam-adapter", "medical-adapter"])
def test_saved_and_loaded_is_the_same(adapter, dtype, frame, tmp_path):
    model = sam_golden.random_model(adapter=adapter, adapter_dim=5, prompt_kinds=["points", "mask"])
    model.save_pretrained(tmp_path, dtype=dtype)
    loaded = AmodalSam.from_pretrained(tmp_path)
    assert loaded.config.adapter == adapter
    assert loaded.config.adapter_width == 5
    assert tuple(loaded.config.prompt_kinds) == ("points", "mask")
    assert loaded.dtype == torch.float32
    for (name, weight), (other, saved) in zip(
        model.named_parameters(), loaded.named_parameters(), strict=True
    ):
        assert name == other
        exact = dtype is None or name.startswith("shared_image_embedding.")
        assert torch.equal(saved, weight if exact else weight.half().float())
    points = [[[20, 30]]]
    answers = [m.decode(m.encode(frame), points).low_res for m in (model, loaded)]
    torch.testing.assert_close(*answers, atol=0 if dtype is None else 0.05, rtol=0)


def test_half_precision_runs(model, frame, tmp_path):
    model.save_pretrained(tmp_path)
    half = AmodalSam.from_pretrained(tmp_path, dtype=torch.bfloat16)
    decoded = half.decode(half.encode(frame), [[[20, 30]]], boxes=[[5, 5, 40, 40]])
    assert half.dtype == torch.bfloat16
    assert torch.isfinite(decoded.low_res).all()
    masks = half.decode(half.encode(frame), mask_prompts=decoded.low_res)
    assert torch.isfinite(masks.low_res).all()


def test_positions_are_exact_in_sixteen_bits(model, tmp_path):
    model.save_pretrained(tmp_path, dtype=torch.float16)
    for dtype in (torch.float16, torch.bfloat16):
        half = AmodalSam.from_pretrained(tmp_path, dtype=dtype)
        assert half.mask_decoder.iou_token.weight.dtype == dtype
        assert torch.equal(half.image_positions(), model.image_positions())
