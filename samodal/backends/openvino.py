"""OpenVINO on the CPU: the image encoder in bfloat16 or float32, the mask decoder in float32."""

import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino
import torch
from torch import Tensor

from samodal.backends.exported import decoder_part, encoder_inputs, examples, kept

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam

STREAMS = 8
"""Prompts that are decoded at a time, at most: each takes memory of its own."""


class OpenVino:
    """Runs the parts of a model; see `samodal.backends.use_backend`."""

    def __init__(self, model: "AmodalSam", dtype: str) -> None:
        self.model = model
        self.encoder = self._compile("encoder", "bf16" if dtype == "bf16" else "f32", 1)
        self.decoders = cache(self._queue)

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (1, 3, S, S) -> embedding (1, C, g, g)."""
        given = [part.numpy() for part in encoder_inputs(self.model, pixels)]
        return torch.from_numpy(self.encoder(given, share_inputs=True)[0].copy())

    def decode(
        self, cells: Tensor, tokens: Tensor, masks: Tensor | None, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """N prompts, each on its own: see `samodal.sam.answers.Engine.decode`."""
        queue = self.decoders(decoder_part(multimask, masks is not None))
        answers: list[list[np.ndarray]] = [[]] * len(tokens)

        def keep(request: openvino.InferRequest, place: int) -> None:
            answers[place] = [output.data.copy() for output in request.output_tensors]

        queue.set_callback(keep)
        # Shared with the engine, not copied: they have to live, and to lie in one piece, until it is done.
        given = [part.contiguous().numpy() for part in (cells, tokens, masks) if part is not None]
        try:
            for place in range(len(tokens)):
                prompt = [part[place : place + 1] for part in given[1:]]
                queue.start_async([given[0], *prompt], place, share_inputs=True)
        finally:  # also when interrupted
            queue.wait_all()
        logits, scores = (torch.from_numpy(np.concatenate(part)) for part in zip(*answers, strict=True))
        return logits[:, 0], scores[:, 0]

    def _queue(self, part: str) -> openvino.AsyncInferQueue:
        """Several prompts at a time, as each is too little work for all cores."""
        streams = min(torch.get_num_threads(), STREAMS)
        return openvino.AsyncInferQueue(self._compile(part, "f32", streams), streams)

    def _compile(self, part: str, precision: str, streams: int) -> openvino.CompiledModel:
        folder = kept("openvino", self.model, part, ("openvino",), lambda new: _export(self.model, part, new))
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": streams,
        }
        return _core().compile_model(folder / "model.xml", "CPU", options)


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
