"""All engines against torch, on small models with every adapter."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toys
from toys import tiny_sam

from samodal.backends import exported, usable, use_backend
from samodal.errors import InputError

ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(not usable(name), reason=f"needs samodal[{name}]"))
    for name in ("openvino", "onnxruntime")
]
FRAME = np.random.default_rng(0).integers(0, 256, (40, 64, 3)).astype(np.uint8)
PROMPTS = {
    "points": np.array([[[20.0, 12.0], [40.0, 30.0]], [[5.0, 5.0], [60.0, 20.0]]]),
    "labels": np.array([[1, 0], [1, -1]]),
    "boxes": np.array([[3.0, 4.0, 30.0, 30.0], [0.0, 0.0, 60.0, 39.0]]),
    "mask_prompts": np.random.default_rng(1).standard_normal((2, 16, 16)),
}
KINDS = [("points", "labels"), ("boxes",), ("mask_prompts",), ("points", "labels", "boxes", "mask_prompts")]


def noisy(adapter: str, decoder_layers: int = 1):
    """A tiny model whose adapter does something."""
    model, generator = tiny_sam(adapter, decoder_layers), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.vision_encoder.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
    return model.eval()


@pytest.fixture(autouse=True, scope="module")
def shared_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty one, for tests that look into it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "samodal"


@pytest.mark.parametrize("adapter", ["none", "sam-adapter", "medical-adapter"])
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_encode_as_torch_does(engine, adapter):
    model = noisy(adapter)
    expected = model.encode(FRAME).embedding
    scale = expected.abs().max()
    use_backend(model, engine)
    torch.testing.assert_close(model.encode(FRAME).embedding / scale, expected / scale, atol=1e-5, rtol=0)


EVERY_WAY = [(kinds, multimask) for kinds in KINDS for multimask in (False, True)]
SOME_WAYS = [(kinds, "mask_prompts" in kinds) for kinds in KINDS]
"""Mask prompts and multimask make an export each, of some seconds: here two of the four."""


@pytest.mark.parametrize(
    "ways", [SOME_WAYS, pytest.param(EVERY_WAY, marks=pytest.mark.slow)], ids=["some", "every"]
)
@pytest.mark.parametrize("engine", ENGINES)
def test_engines_decode_as_torch_does(engine, ways):
    """One adapter is enough: all change the encoder alone."""
    model = noisy("sam-adapter", decoder_layers=2)
    embedding = model.encode(FRAME)
    asked = [{name: PROMPTS[name] for name in kinds} | {"multimask": multi} for kinds, multi in ways]
    expected = [model.decode(embedding, **given) for given in asked]
    use_backend(model, engine)
    for given, right in zip(asked, expected, strict=True):
        decoded = model.decode(embedding, **given)
        torch.testing.assert_close(decoded.low_res, right.low_res, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(decoded.scores, right.scores, atol=1e-4, rtol=1e-4)
        assert (decoded.masks != right.masks).float().mean() < 1e-3
    assert model.decode(embedding, np.zeros((0, 1, 2))).masks.shape == (0, 40, 64)


@pytest.mark.parametrize("engine", ["torch", *ENGINES[:1]])
def test_sixteen_bits_are_close_and_asked_for(engine):
    model = noisy("sam-adapter")
    exact = model.encode(FRAME).embedding
    assert model.encoder_dtype is None
    use_backend(model, engine, "bf16")
    rough = model.encode(FRAME).embedding
    assert rough.dtype == torch.float32
    error = (rough - exact).norm() / exact.norm()
    assert 0 < error < 0.03


def test_all_but_the_encoder_stays_exact_in_sixteen_bits():
    model = use_backend(tiny_sam(), "torch", "bf16")
    assert model.dtype == torch.float32
    assert all(weight.dtype == torch.float32 for weight in model.mask_decoder.parameters())
    assert model.vision_encoder.pos_embed.dtype == torch.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_an_export_is_made_once_for_the_same_weights(engine, cache, monkeypatch):
    model = noisy("none")
    use_backend(model, engine)
    kept = sorted(path for path in (cache / engine).iterdir())
    assert kept
    assert not [path for path in kept if path.name.startswith(".")]
    with monkeypatch.context() as patch:
        patch.setattr(f"samodal.backends.{engine}.examples", lambda *_: pytest.fail("exported again"))
        use_backend(noisy("none"), engine)
    other = noisy("none")
    with torch.no_grad():
        other.vision_encoder.neck.conv1.weight[0] += 1
    use_backend(other, engine)
    assert len(list((cache / engine).iterdir())) > len(kept)


def test_a_cut_off_export_leaves_nothing(cache):
    def fail(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        exported.kept("engine", tiny_sam(), "encoder", (), fail)
    assert list((cache / "engine").iterdir()) == []


def test_the_fingerprint_sees_weights_and_structure():
    first, same, other = tiny_sam(), tiny_sam(), tiny_sam("medical-adapter")
    assert exported.fingerprint(first) == exported.fingerprint(same) != exported.fingerprint(other)
    with torch.no_grad():
        same.mask_decoder.iou_token.weight[0, 0] += 1
    assert exported.fingerprint(first) != exported.fingerprint(same)


@pytest.mark.parametrize(("backend", "dtype"), [("abacus", "fp32"), ("torch", "fp64")])
def test_what_is_not_known_is_refused(backend, dtype):
    with pytest.raises(InputError, match="choose from"):
        use_backend(tiny_sam(), backend, dtype)


def test_a_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "samodal.backends.openvino", raising=False)
    with pytest.raises(InputError, match=r"pip install 'samodal\[openvino\]'"):
        use_backend(tiny_sam(), "openvino")


@pytest.mark.skipif(not usable("openvino"), reason="needs samodal[openvino]")
def test_a_process_outlives_signals_after_its_models_are_gone(cache):
    """In a process of its own, with a faulthandler, as pytest has one."""
    script = f"""if True:
        import gc, signal, sys
        sys.path.insert(0, {str(Path(toys.__file__).parent)!r})
        from samodal.backends import use_backend
        from toys import tiny_sam
        for _ in range(2):
            first = use_backend(tiny_sam("none"), "openvino")
            second = use_backend(tiny_sam("none"), "openvino")
            del first
            gc.collect()
            del second
            gc.collect()
        heard = []
        signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
        for _ in range(3):
            signal.raise_signal(signal.SIGCHLD)
        assert heard == [1, 1, 1]
    """
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
