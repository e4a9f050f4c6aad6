"""OpenVINO on the CPU: the image encoder in bfloat16 or float32, the mask decoder in float32."""

import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openvino
import torch
from torch import Tensor

from samodal.backends.exported import encoder_inputs, examples, kept

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam


class OpenVino:
    """Runs the parts of a model; see `samodal.backends.use_backend`."""

    def __init__(self, model: "AmodalSam", dtype: str) -> None:
        self.model = model
        self.dtype = dtype
        self.encoder = self._compile("encoder", "bf16" if dtype == "bf16" else "f32")
        self.decoder = cache(lambda part: self._compile(part, "f32"))

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (1, 3, S, S) -> embedding (1, C, g, g)."""
        return self._run(self.encoder, encoder_inputs(self.model, pixels))[0]

    def decode(self, image: Tensor, sparse: Tensor, dense: Tensor, multimask: bool) -> tuple[Tensor, Tensor]:
        """One prompt: logits (1, 1, C, 4g, 4g) and predicted IoU (1, 1, C)."""
        part = "decoder-multimask" if multimask else "decoder"
        logits, scores = self._run(self.decoder(part), (image, sparse, dense))
        return logits, scores

    def _compile(self, part: str, precision: str) -> Any:
        folder = kept("openvino", self.model, part, ("openvino",), lambda new: _export(self.model, part, new))
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        return _core().compile_model(folder / "model.xml", "CPU", options)

    def _run(self, compiled: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        given = [part.detach().contiguous().numpy() for part in inputs]
        answers = compiled(given, share_inputs=True)
        return [torch.from_numpy(answers[index].copy()) for index in range(len(answers))]


@cache
def _core() -> openvino.Core:
    """One for the process: each makes a stack for the signals of its thread, and several free them in an order that
    leaves the thread a stack that is gone; with Python's faulthandler on, the next signal would be the last."""
    return openvino.Core()


@torch.no_grad()
def _export(model: "AmodalSam", part: str, folder: Path) -> None:
    module, inputs = examples(model, part)
    shapes = [list(value.shape) for value in inputs]
    if part != "encoder":
        shapes[1][2] = -1  # any number of prompt tokens
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer finds that sizes are constants; they are
        exported = openvino.convert_model(module, example_input=inputs, input=shapes)
    openvino.save_model(exported, folder / "model.xml", compress_to_fp16=False)
