"""ONNX Runtime on the CPU, in float32."""

import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnxruntime
import torch
from torch import Tensor

from samodal.backends.exported import decoder_part, encoder_inputs, examples, kept
from samodal.errors import InputError

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam


class OnnxRuntime:
    """Runs the parts of a model; see `samodal.backends.use_backend`."""

    def __init__(self, model: "AmodalSam", dtype: str) -> None:
        if dtype != "fp32":
            raise InputError(f"backend onnxruntime: computes in fp32, not in {dtype}; openvino does both")
        self.model = model
        self.encoder = self._session("encoder")
        self.decoder = cache(self._session)

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (1, 3, S, S) -> embedding (1, C, g, g)."""
        return _run(self.encoder, encoder_inputs(self.model, pixels))[0]

    def decode(
        self, cells: Tensor, tokens: Tensor, masks: Tensor | None, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """N prompts, one after the other: see `samodal.sam.answers.Engine.decode`."""
        session = self.decoder(decoder_part(multimask, masks is not None))
        prompts = zip(*(part.split(1) for part in (tokens, masks) if part is not None), strict=True)
        logits, scores = zip(*(_run(session, (cells, *prompt)) for prompt in prompts), strict=True)
        return torch.cat(logits)[:, 0], torch.cat(scores)[:, 0]

    def _session(self, part: str) -> onnxruntime.InferenceSession:
        packages = ("onnx", "onnxruntime")
        folder = kept("onnxruntime", self.model, part, packages, lambda new: _export(self.model, part, new))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        return onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )


def _run(session: onnxruntime.InferenceSession, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    # What the graph does not need, such as an empty list of prompt tokens, it has no input for.
    names = [given.name for given in session.get_inputs()]
    given = {name: part.detach().numpy() for name, part in zip(names, inputs, strict=True)}
    return [torch.from_numpy(answer) for answer in session.run(None, given)]


@torch.no_grad()
def _export(model: "AmodalSam", part: str, folder: Path) -> None:
    module, inputs = examples(model, part)
    names = ["pixels", "high"] if part == "encoder" else ["cells", "tokens", "mask"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer finds that sizes are constants; they are
        torch.onnx.export(
            module,
            inputs,
            folder / "model.onnx",
            input_names=names[: len(inputs)],
            dynamic_axes={} if part == "encoder" else {"tokens": {2: "prompts"}},
            opset_version=17,
            dynamo=False,
        )
    onnx.checker.check_model(folder / "model.onnx")
