"""SAM 2 and SAM 3 with random weights and shrunk: what goes in and comes out, not how good it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from toys import tiny_sam, toy_clip
from transformers import (
    PreTrainedTokenizerFast,
    Sam2VideoConfig,
    Sam2VideoModel,
    Sam3Config,
    Sam3TrackerVideoConfig,
    Sam3VideoConfig,
    Sam3VideoInferenceSession,
    Sam3VideoModel,
)

from samodal import masks
from samodal.cli import run
from samodal.errors import InputError
from samodal.frames import write_video
from samodal.video import Video
from samodal.vis import VisOptions, open_vis
from samodal.vis import sam2 as sam2_module
from samodal.vis import sam3 as sam3_module
from samodal.vis.boxes import read_boxes
from samodal.vis.followed import Followed, Pixels, to_tracks
from samodal.vis.sam3 import _first_of_doubles

CLIP = toy_clip(frames=8).video
CPU = torch.device("cpu")

FOLLOWING = {
    "memory_attention_hidden_size": 128, "memory_attention_num_layers": 1,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_attention_rope_feat_sizes": [4, 4], "memory_encoder_hidden_size": 128, "memory_encoder_output_channels": 64,
    "mask_downsampler_embed_dim": 128, "memory_fuser_embed_dim": 128, "memory_fuser_intermediate_dim": 32,
    "memory_fuser_num_layers": 1, "num_maskmem": 3, "max_object_pointers_in_encoder": 4,
}  # fmt: skip
DECODER = {"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "image_size": [64, 64], "hidden_size": 8, "embed_dim_per_stage": [8, 16, 32, 64],
        "blocks_per_stage": [1, 2, 2, 1],
        "num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [4], "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "fpn_hidden_size": 128,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }  # fmt: skip
    config = Sam2VideoConfig(
        image_size=64, vision_config=vision, prompt_encoder_config={"hidden_size": 128, "image_size": 64},
        mask_decoder_config=DECODER, **FOLLOWING,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("sam2")
    Sam2VideoModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    small = {"hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 32, "num_layers": 1}
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2, "image_size": 56,
        "window_size": 2, "global_attn_indexes": [1], "pretrain_image_size": 28, "patch_size": 14,
    }  # fmt: skip
    vision = {
        "backbone_config": vit,
        "fpn_hidden_size": 128,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    }
    text = {
        "vocab_size": 20, "hidden_size": 128, "intermediate_size": 32, "projection_dim": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 32,
    }  # fmt: skip
    detector = Sam3Config(
        vision_config=vision, text_config=text, geometry_encoder_config=small, detr_encoder_config=small,
        detr_decoder_config={**small, "num_queries": 5},
        mask_decoder_config={"hidden_size": 128, "num_attention_heads": 2},
    )  # fmt: skip
    tracker = Sam3TrackerVideoConfig(
        vision_config=vision, image_size=56, prompt_encoder_config={"hidden_size": 128, "image_size": 56},
        mask_decoder_config=DECODER, **FOLLOWING,
    )  # fmt: skip
    config = Sam3VideoConfig(
        detector_config=detector, tracker_config=tracker, low_res_mask_size=16, new_det_thresh=0.01
    )
    folder = tmp_path_factory.mktemp("sam3")
    Sam3VideoModel(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "car": 2, "van": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    return folder


def test_sam3_finds_and_follows(sam3: Path) -> None:
    vis = open_vis(VisOptions(str(sam3), ("car", "delivery van"), threshold=0.01))
    done = []
    tracks = vis(CLIP, lambda: done.append(1))
    assert len(done) == len(CLIP)
    assert (tracks.size, tracks.num_frames) == (CLIP.size, len(CLIP))
    assert len(tracks) > 0
    assert {track.category_id for track in tracks} <= {26, 101}
    assert vis(CLIP) == tracks
    for frame in range(len(CLIP)):
        shown = [track.visible[frame] for track in tracks if track.visible[frame]]
        assert sum(map(masks.area, shown)) == (masks.area(masks.union(shown)) if shown else 0)


def test_sam3_without_what_it_needs(sam3: Path, tmp_path: Path) -> None:
    assert len(open_vis(VisOptions(str(sam3), ("car",), threshold=1.0))(CLIP)) == 0
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(sam3 / name)
    with pytest.raises(InputError, match="knows no word of 'car'"):
        open_vis(VisOptions(str(tmp_path), ("car",)))


SQUARES = """
def find(image):
    bright, dark = image[..., 0] == 220, image[..., 0] == 20
    found = [(bright, "car", 0.9), (dark, "person", 0.8), (dark, "bus", 0.3)]
    return [one for one in found if one[0].any()]
"""


@pytest.fixture
def squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shown.py").write_text(SQUARES)
    monkeypatch.syspath_prepend(tmp_path)
    return "shown:find"


def test_sam2_follows_what_it_is_shown(sam2: Path, squares: str) -> None:
    vis = open_vis(VisOptions(str(sam2), detector=squares))
    tracks = vis(CLIP)
    assert vis(CLIP) == tracks
    assert {track.category_id for track in tracks} <= {24, 26}
    first = toy_clip(frames=8).truth
    by_class = {track.category_id: track for track in tracks if track.visible[0]}
    for category, number in ((26, 1), (24, 2)):
        shown = next(t for t in first if t.track_id == number).visible[0]
        assert masks.iou(by_class[category].visible[0], shown) > 0.8, (
            "in the first frame it is what was shown"
        )


def test_sam2_forgets_nothing_that_it_needs(
    sam2: Path, squares: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vis = open_vis(VisOptions(str(sam2), detector=squares))
    sessions = []
    end_frame = sam2_module.end_frame

    def ending(session: object, *arguments: object) -> None:
        sessions.append(session)
        end_frame(session, *arguments)

    monkeypatch.setattr(sam2_module, "end_frame", ending)
    short = vis(CLIP)
    known = sessions[-1].output_dict_per_obj[0]  # type: ignore[attr-defined]
    assert len(known["non_cond_frame_outputs"]) == 4
    monkeypatch.setattr(sam2_module, "end_frame", lambda *_: None)
    assert vis(CLIP) == short


def test_sam2_follows_what_is_in_a_box(sam2: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    boxes = [
        {"frame": 1, "box": [24, 15, 40, 33], "class": "car"},
        {"frame": 3, "box": [1, 2, 30, 40], "class": "tram"},
    ]
    path.write_text(json.dumps(boxes))
    model = Sam2VideoModel.from_pretrained(sam2)
    torch.nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 5)  # sees things everywhere
    model.save_pretrained(tmp_path / "sam2")
    shown = []
    vis = open_vis(VisOptions(str(tmp_path / "sam2"), boxes=path))
    vis.model.prompt_encoder.register_forward_hook(  # type: ignore[attr-defined]
        lambda module, arguments, named, answer: shown.append(named["input_points"]), with_kwargs=True
    )
    tracks = vis(CLIP)
    assert len(tracks) > 0
    assert {track.category_id for track in tracks} <= {26, 101}
    first = next(points for points in shown if points is not None and points.shape[2] == 2)
    assert first[0, 0].numpy() == pytest.approx(np.array([[24, 15 * 64 / 48], [40, 33 * 64 / 48]]))
    assert not any(track.visible[0] for track in tracks), "nothing was shown in the first frame"
    write_video(tmp_path / "clip.mp4", list(CLIP))
    tiny_sam().save_pretrained(tmp_path / "model")
    command = ["predict", str(tmp_path / "clip.mp4"), "--visible", "auto", "--model", str(tmp_path / "model")]
    command += ["--out", str(tmp_path / "out"), "--vis.model", str(tmp_path / "sam2"), "--vis.boxes"]
    assert run([*command, str(path)]) == 0
    assert (tmp_path / "out" / "visible.json").is_file()
    assert run([*command, str(tmp_path / "absent.json")]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "a list of"),
        ("[]", "a list of"),
        ('[{"frame": 0, "box": [1, 2, 3], "class": "car"}]', "entry 1: a list of"),
        (
            '[{"frame": 8, "box": [1, 2, 3, 4], "class": "car"}]',
            "does not lie in toy, 8 frames of 64x48 pixels",
        ),
        ('[{"frame": 0, "box": [9, 2, 3, 4], "class": "car"}]', "does not lie in toy"),
        ('[{"frame": 0, "box": [1, 2, NaN, 4], "class": "car"}]', "does not lie in toy"),
    ],
)
def test_boxes_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        read_boxes(path, CLIP)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("length", [1, 2])
def test_videos_of_a_frame_or_two(sam2: Path, sam3: Path, squares: str, length: int) -> None:
    video = Video.from_frames(list(CLIP)[:length])
    assert len(open_vis(VisOptions(str(sam2), detector=squares))(video)) == 2
    assert open_vis(VisOptions(str(sam3), ("car",), threshold=0.01))(video).num_frames == length


def test_sam2_must_be_shown_something(sam2: Path, squares: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--vis\.detector"):
        open_vis(VisOptions(str(sam2)))
    (tmp_path / "whole.py").write_text("def find(video): ...")
    with pytest.raises(InputError, match="looks at whole videos"):
        open_vis(VisOptions(str(sam2), detector="whole:find"))


def test_pixels_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    plain = Pixels(str(tmp_path), 16, [0.5] * 3, [0.25] * 3)(image, CPU)
    assert plain.shape == (3, 16, 16)
    assert plain.mean((1, 2)).numpy() == pytest.approx((image.mean((0, 1)) / 255 - 0.5) / 0.25, abs=0.02)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    said = Pixels(str(tmp_path), 16, [0.5] * 3, [0.25] * 3)(image, CPU)
    assert torch.allclose(said, plain * 0.25 + 0.5, atol=1e-6)


def test_of_doubles_the_best_stays() -> None:
    found = torch.zeros(4, 6, 6, dtype=torch.bool)
    found[0, :3], found[1, :4], found[2, 4:], found[3, 3:] = True, True, True, True
    assert _first_of_doubles(found, torch.tensor([0.5, 0.9, 0.3, 0.8]), 0.1).tolist() == [1, 2]
    assert _first_of_doubles(found, torch.tensor([0.5, 0.9, 0.3, 0.8]), 0.2).tolist() == [1, 3]
    assert _first_of_doubles(found[:0], torch.zeros(0), 0.1).tolist() == []


def test_an_instance_that_is_followed_twice_is_one() -> None:
    video = Video.from_frames([np.zeros((10, 10, 3), np.uint8)] * 3)
    shapes = np.zeros((3, 10, 10), bool)
    shapes[0, :5], shapes[1, :4], shapes[2, 3:] = True, True, True
    a, b, c = map(masks.encode, shapes)
    followed = [
        Followed("truck", 0.6, {0: b, 1: b}),
        Followed("car", 0.8, {0: a, 1: a, 2: a}),
        Followed("bus", 0.5, {1: c}),
        Followed("bus", 0.9),
    ]
    tracks = to_tracks(followed, video, ())
    assert [track.category_id for track in tracks] == [26, 28]
    assert tracks.tracks[0].visible == [a, a, a]
    rest = masks.decode(tracks.tracks[1].visible[1])  # type: ignore[arg-type]
    assert rest.sum() == 50


def test_sam3_fed_frame_by_frame_answers_as_if_it_had_the_whole_video(
    sam3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vis = open_vis(VisOptions(str(sam3), ("car", "van"), threshold=0.01))
    given: dict[int, dict[int, torch.Tensor]] = {}
    begin_session = sam3_module.begin_session
    sessions = []

    def beginning(*arguments: object) -> object:
        sessions.append(begin_session(*arguments))
        return sessions[-1]

    monkeypatch.setattr(sam3_module, "begin_session", beginning)
    vis.model.register_forward_hook(  # type: ignore[attr-defined]
        lambda model, arguments, named, answer: given.update({answer.frame_idx: answer.obj_id_to_mask}),
        with_kwargs=True,
    )
    vis(CLIP)
    alone, given = given, {}
    whole = Sam3VideoInferenceSession(
        video=torch.stack([vis.pixels(frame, CPU) for frame in CLIP]),  # type: ignore[attr-defined]
        video_height=CLIP.size[0], video_width=CLIP.size[1], dtype=torch.float32,
    )  # fmt: skip
    for name in ("prompts", "prompt_input_ids", "prompt_attention_masks"):
        setattr(whole, name, getattr(sessions[0], name))
    list(vis.model.propagate_in_video_iterator(whole))  # type: ignore[attr-defined]
    assert given.keys() == alone.keys() == set(range(len(CLIP)))
    for frame, found in given.items():
        assert found.keys() == alone[frame].keys()
        assert all(torch.equal(mask, alone[frame][number]) for number, mask in found.items())
