"""Other engines than torch for a model's arithmetic: encoder and mask decoder, exported once and kept on disk.

What torch makes of a model is traced, whatever adapters it has; so an engine knows nothing of SAM. The prompt encoder,
a hundredth of the work, stays in torch.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from samodal.errors import InputError

if TYPE_CHECKING:
    from samodal.sam.answers import Engine
    from samodal.sam.model import AmodalSam

BACKENDS = ("torch", "openvino", "onnxruntime")
EXTRAS = {"openvino": "openvino", "onnxruntime": "onnx"}
DTYPES = ("fp32", "bf16")


def use_backend(
    model: "AmodalSam", backend: str = "torch", dtype: str = "fp32", compiled: bool = False
) -> "AmodalSam":
    """Let `backend` do the arithmetic of `model`'s inference, with the image encoder in `dtype`.

    Prompts and masks are always float32: in bfloat16 the signs of 4 to 6 % of a mask's logits change.

    Args:
        model: changed in place; its weights must not change afterwards.
        backend: "torch", "openvino" (CPU) or "onnxruntime" (CPU, fp32).
        dtype: "fp32" or "bf16".
        compiled: let torch compile the image encoder; pays on a GPU only, and takes a minute at the first frame.

    Returns:
        `model`.

    Raises:
        InputError: an unknown name, a backend that is not installed, or one that cannot do this.
    """
    import torch

    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is not known; choose from {', '.join(BACKENDS)}")
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is not known; choose from {', '.join(DTYPES)}")
    if backend == "torch":
        model.engine = None
        if compiled:
            model.vision_encoder.compile()
        return model.encode_in(torch.bfloat16) if dtype == "bf16" else model
    if compiled:
        raise InputError(f"backend {backend}: is compiled already; --compile is for torch")
    if model.device.type != "cpu":
        raise InputError(f"backend {backend}: runs on the CPU, not on {model.device}; give --device cpu")
    model.engine = _engine(backend)(model, dtype)
    return model


def _engine(backend: str) -> Callable[["AmodalSam", str], "Engine"]:
    try:
        if backend == "openvino":
            from samodal.backends.openvino import OpenVino

            return OpenVino
        from samodal.backends.onnxruntime import OnnxRuntime

        return OnnxRuntime
    except ImportError as error:
        raise InputError(
            f"backend {backend}: {error.name} is not installed; pip install 'samodal[{EXTRAS[backend]}]'"
        ) from None


def usable(backend: str) -> bool:
    """Whether `backend` is installed."""
    if backend == "torch":
        return True
    try:
        _engine(backend)
    except InputError:
        return False
    return True
