import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train.cache import EmbeddingCache, encoder_name, key_of, open_cache
from samodal.train.loop import choose_trainable, train
from samodal.train.options import TrainOptions
from samodal.train.samples import FrameSamples

CLIPS = [toy_clip(seed, name=f"toy {seed}") for seed in range(2)]
OPTIONS = TrainOptions(
    instances=2,
    steps=8,
    batch=2,
    lr=1e-3,
    warmup=2,
    validate_every=8,
    validation_frames=2,
    workers=0,
    crop=0,
    light=0,
)


def weights_after(folder: Path, options: TrainOptions, model: AmodalSam | None = None) -> dict:
    model = model or tiny_sam("none")
    train(model, CLIPS, CLIPS, folder, options)
    return model.state_dict()


def encoded_frames(model: AmodalSam) -> list[int]:
    """How many frames the encoder was given, pass by pass, in training mode."""
    counts: list[int] = []
    encoder = model.vision_encoder
    encoder.register_forward_pre_hook(
        lambda _, given: counts.append(len(given[0])) if encoder.training else None
    )
    return counts


def test_cached_or_not_the_weights_are_the_same_to_the_last_bit(tmp_path: Path) -> None:
    plain = weights_after(tmp_path / "plain", replace(OPTIONS, cache="off"))
    filling, full = tiny_sam("none"), tiny_sam("none")
    passes, none = encoded_frames(filling), encoded_frames(full)
    options = replace(OPTIONS, cache=str(tmp_path / "cache"))
    for name, model in (("filling", filling), ("full", full)):
        for key, weight in weights_after(tmp_path / name, options, model).items():
            assert torch.equal(weight, plain[key]), key
    assert 0 < len(passes) < 16  # of 16 samples, drawn from 12 frames, mirrored or not
    assert none == []


def test_any_part_of_the_cache_can_be_deleted_or_damaged(tmp_path: Path) -> None:
    options = replace(OPTIONS, cache=str(tmp_path / "cache"))
    first = weights_after(tmp_path / "first", options)
    entries = sorted((tmp_path / "cache").glob("*/*/*.embedding"))
    entries[0].unlink()
    entries[1].write_bytes(entries[1].read_bytes()[:100])
    entries[2].write_bytes(b"")
    again = weights_after(tmp_path / "again", options)
    assert all(torch.equal(again[name], weight) for name, weight in first.items())
    assert sorted((tmp_path / "cache").glob("*/*/*.embedding")) == entries  # made again
    shutil.rmtree(tmp_path / "cache")
    weights_after(tmp_path / "gone", options)


def test_a_change_of_the_encoder_or_of_the_arithmetic_is_another_cache() -> None:
    model = tiny_sam("none")
    names = {encoder_name(model, "fp32"), encoder_name(model, "bf16"), encoder_name(tiny_sam(), "fp32")}
    with torch.no_grad():
        model.vision_encoder.neck.conv1.weight[0, 0] += 1e-6
    assert len({*names, encoder_name(model, "fp32")}) == 4
    assert encoder_name(tiny_sam("none"), "fp32") == encoder_name(tiny_sam("none"), "fp32")


def test_frames_are_told_apart_by_content_and_shape() -> None:
    frame = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert key_of(frame) == key_of(frame.copy())
    assert (
        len({key_of(frame), key_of(frame[:, ::-1]), key_of(frame.reshape(4, 2, 3)), key_of(frame + 1)}) == 4
    )


def test_it_stays_within_its_bound_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    one = torch.zeros(4, 8, 8)
    cache = EmbeddingCache(tmp_path, "encoder", limit=10 * 1200)
    keys = [f"{number:04x}" * 10 for number in range(30)]
    for age, key in enumerate(keys):
        cache.put(key, one)
        for path in tmp_path.glob(f"*/??/{key}*"):
            os.utime(path, (1000 + age, 1000 + age))
        assert cache.get(keys[0]) is not None  # used again and again
    files = list(tmp_path.glob("*/*/*.embedding"))
    assert sum(path.stat().st_size for path in files) <= 10 * 1200
    assert len(files) >= 8
    assert cache.get(keys[-1]) is not None
    assert cache.get(keys[1]) is None
    other = EmbeddingCache(tmp_path, "another encoder", limit=10 * 1200)
    assert other.size == sum(path.stat().st_size for path in files)
    assert other.get(keys[-1]) is None


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    cache = EmbeddingCache(tmp_path, "encoder", limit=2000)
    for number in range(9):
        cache.put(f"{number:040x}", torch.zeros(4, 8, 8))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_full_disk_is_said_once_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    cache = EmbeddingCache(tmp_path, "encoder", limit=1e9)
    for number in range(3):
        cache.put(f"{number:040x}", torch.zeros(4, 8, 8))
    assert capsys.readouterr().err.count("No space left") == 1


def test_where_it_cannot_be_used_it_says_why(tmp_path: Path) -> None:
    frozen, learning = tiny_sam("none"), tiny_sam()
    for model in (frozen, learning):
        choose_trainable(model, OPTIONS)
    cache, said = open_cache(frozen, replace(OPTIONS, cache=str(tmp_path)))
    assert cache is not None
    assert str(tmp_path) in said
    for model, options, reason in (
        (learning, OPTIONS, "encoder learns"),
        (frozen, replace(OPTIONS, crop=0.6), r"crop 0\.6"),
        (frozen, replace(OPTIONS, light=1), "light 1"),
    ):
        assert open_cache(model, replace(options, cache="off"))[0] is None
        cache, said = open_cache(model, options)
        assert cache is None
        assert "not kept" in said
        with pytest.raises(InputError, match=f"cannot be kept.*{reason}"):
            open_cache(model, replace(options, cache=str(tmp_path)))


def test_known_frames_are_not_read_again(tmp_path: Path) -> None:
    clip = toy_clip()
    read = []
    frames = clip.video.frames

    class Counted:
        def __len__(self) -> int:
            return len(frames)

        def __getitem__(self, index: int) -> np.ndarray:
            read.append(index)
            return frames[index]

    clip.video.frames = Counted()  # type: ignore[assignment]
    cache = EmbeddingCache(tmp_path, "encoder", 1e9)
    samples = FrameSamples([clip], 64, replace(OPTIONS, steps=50, mirror=0), cache)
    for index in range(60):
        cache.put(samples[index]["key"], torch.zeros(4, 4, 4))
    before = len(read)
    assert all("embedding" in samples[index] for index in range(60, 100))
    assert len(read) == before
