"""encoder.onnx and decoder.onnx, compared with the model itself before they are handed out."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from samodal import files
from samodal.errors import InputError, missing_extra
from samodal.export.original import merged
from samodal.sam import AmodalSam
from samodal.sam.images import rows

OPSET = 18  # the first that torch writes
TOLERANCE = 1e-4  # largest difference from torch, as a share of the largest value of an output
DECODER_INPUTS = ("embedding", "points", "labels", "masks", "use_mask")
_ONE_FILE = 1_500_000_000  # bytes of weights that fit into one .onnx: the format ends at 2 GiB


class Encoder(nn.Module):
    """`AmodalSam.encode_pixels` alone."""

    def __init__(self, model: AmodalSam) -> None:
        super().__init__()
        self.vision_encoder = model.vision_encoder

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, C, g, g)."""
        return self.vision_encoder(pixels)


class Decoder(nn.Module):
    """Prompt encoder and mask decoder, with all kinds of prompts in arrays that are always there.

    As in segment-anything's own export a box is two points with labels of their own, and "no mask" is a switch.
    """

    def __init__(self, model: AmodalSam) -> None:
        super().__init__()
        prompts = model.prompt_encoder
        self.side = model.image_size
        self.phases = prompts.shared_embedding
        self.mask_embed = prompts.mask_embed
        self.mask_decoder = model.mask_decoder
        kinds = [prompts.not_a_point_embed, *prompts.point_embed]  # in the order of the labels, from -1 on
        self.kinds = nn.Parameter(torch.cat([kind.weight.detach() for kind in kinds]))
        self.no_mask = nn.Parameter(prompts.no_mask_embed.weight.detach()[0, :, None, None])
        self.positions = nn.Parameter(rows(model.image_positions().detach())[0])

    def forward(
        self, embedding: Tensor, points: Tensor, labels: Tensor, masks: Tensor, use_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Answer N prompts on one image.

        Args:
            embedding: float (1, C, g, g).
            points: float (N, P, 2) as x, y in pixels of the resized frame.
            labels: int64 (N, P), 1 on the object, 0 off it, 2 the first and 3 the last corner of a box, -1 no point.
            masks: float (N, 1, 4g, 4g) logits.
            use_mask: bool (N,), whether the mask of a prompt counts.

        Returns:
            logits (N, 1, 4g, 4g), predicted IoU (N, 1).
        """
        phases = self.phases((points + 0.5)[:, None], (self.side, self.side))[:, 0]
        tokens = self.kinds[labels + 1] + phases.where(labels[..., None] >= 0, 0.0)
        hints = self.mask_embed(masks).where(use_mask[:, None, None, None], self.no_mask)
        cells = rows(embedding + hints)
        logits, scores = self.mask_decoder(cells[:, None], self.positions, tokens[:, None], False)
        return logits[:, 0], scores[:, 0]


def check_extra() -> None:
    """Refuse to begin without the packages.

    Raises:
        InputError: one is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise missing_extra(package, "onnx", "samodal export --onnx")


def check_opset(opset: int) -> None:
    """Refuse what torch cannot write at all.

    Raises:
        InputError: too old.
    """
    if opset < OPSET:
        raise InputError(f"--opset {opset}: torch writes {OPSET} and newer ones")


def write_onnx(model: AmodalSam, folder: str | Path, opset: int = OPSET) -> dict[str, float]:
    """Write encoder.onnx and decoder.onnx, both or none; models above 1.5 GB with their weights in .onnx.data beside.

    Args:
        model: in float32 on the CPU.
        folder: made where it is missing; files of these names in it are replaced.
        opset: version of ONNX's operators.

    Returns:
        For each file the largest difference between its answers and the model's, as a share of the largest answer.

    Raises:
        InputError: a package is missing, the opset cannot be written, or a difference is above `TOLERANCE`.
    """
    check_extra()
    check_opset(opset)
    model = merged(model).eval()
    with files.filling(folder, overwrite=True) as temporary:
        _export_encoder(model, temporary / "encoder.onnx", opset)
        _export_decoder(model, temporary / "decoder.onnx", opset)
        found = {
            "encoder.onnx": _compare_encoder(model, temporary / "encoder.onnx"),
            "decoder.onnx": _compare_decoder(model, temporary / "decoder.onnx"),
        }
        for name, difference in found.items():
            if not difference <= TOLERANCE:
                raise InputError(
                    f"{Path(folder) / name}: not written, its answers differ from torch's by {difference:.1e} of the "
                    f"largest value, more than {TOLERANCE:g}; try another --opset or version of onnxruntime"
                )
    return found


def box_points(points: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> tuple[Tensor, Tensor]:
    """Prompts as `AmodalSam.low_res_logits` takes them, as the points and labels of decoder.onnx.

    A box is its corners, labels 2 and 3, behind the points; without one a "no point" stands there, label -1.

    Args:
        points: (N, P, 2) or None.
        labels: (N, P) or None.
        boxes: (N, 4) as x0, y0, x1, y1, or None.
    """
    if boxes is not None:
        more, kinds = boxes.unflatten(1, (2, 2)), torch.tensor([2, 3]).expand(len(boxes), 2)
    elif points is not None:
        more, kinds = torch.zeros(len(points), 1, 2), torch.full((len(points), 1), -1)
    else:
        raise InputError("points or boxes are needed")
    if points is None or labels is None:
        return more, kinds
    return torch.cat([points, more], 1), torch.cat([labels, kinds], 1)


def _export_encoder(model: AmodalSam, path: Path, opset: int) -> None:
    example = (torch.zeros(2, 3, model.image_size, model.image_size),)
    _export(Encoder(model), path, opset, example, ("pixels",), ("embedding",), [{0: "batch"}])


def _export_decoder(model: AmodalSam, path: Path, opset: int) -> None:
    channels, grid = _embedding_size(model)
    prompts, count = {0: "prompts"}, {0: "prompts", 1: "points"}
    example = (
        torch.zeros(1, channels, grid, grid),
        torch.zeros(2, 3, 2),
        torch.ones(2, 3, dtype=torch.int64),
        torch.zeros(2, 1, 4 * grid, 4 * grid),
        torch.tensor([True, False]),
    )
    dynamic = [None, count, count, prompts, prompts]
    _export(Decoder(model), path, opset, example, DECODER_INPUTS, ("logits", "scores"), dynamic)


def _export(
    module: nn.Module,
    path: Path,
    opset: int,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    dynamic: list[dict[int, str] | None],
) -> None:
    import onnx

    size = sum(weight.nbytes for weight in module.parameters())
    with _quiet(), torch.no_grad():
        try:
            torch.onnx.export(
                module.eval(),
                example,
                path,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=dynamic,
                opset_version=opset,
                external_data=size > _ONE_FILE,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise InputError(f"{path.name}: torch cannot write it ({_one_line(error)})") from None
    written = {
        entry.version for entry in onnx.load(path, load_external_data=False).opset_import if not entry.domain
    }
    if written != {opset}:
        raise InputError(f"--opset {opset}: torch writes {sorted(written)} instead; {OPSET} always works")


def _compare_encoder(model: AmodalSam, path: Path) -> float:
    pixels = torch.randn(1, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return _difference(path, {"pixels": pixels}, (model.encode_pixels(pixels),))


def _compare_decoder(model: AmodalSam, path: Path) -> float:
    """Each kind of prompt, in other numbers than the file was made with."""
    channels, grid = _embedding_size(model)
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(1, channels, grid, grid, generator=generator)
    points = torch.rand(3, 2, 2, generator=generator) * model.image_size
    labels = torch.tensor([[1, 0], [1, 1], [1, -1]])
    boxes = torch.rand(3, 4, generator=generator) * model.image_size
    masks = torch.randn(3, 4 * grid, 4 * grid, generator=generator)
    largest = 0.0
    kinds_of_prompts: list[dict[str, Any]] = [
        {"points": points[:, :1], "labels": labels[:, :1]},
        {"points": points, "labels": labels, "boxes": boxes},
        {"boxes": boxes[:1]},
        {"points": points, "labels": labels, "mask_prompts": masks},
    ]
    for shown in kinds_of_prompts:
        count = len(next(iter(shown.values())))
        dots, kinds = box_points(shown.get("points"), shown.get("labels"), shown.get("boxes"))
        given = {
            "embedding": embedding,
            "points": dots,
            "labels": kinds,
            "masks": masks[:count, None],
            "use_mask": torch.tensor(["mask_prompts" in shown] * count),
        }
        with torch.no_grad():
            wanted = model.low_res_logits(embedding, **{name: value[None] for name, value in shown.items()})
        largest = max(largest, _difference(path, given, tuple(part[0] for part in wanted)))
    return largest


def _difference(path: Path, given: dict[str, Tensor], wanted: tuple[Tensor, ...]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    answers: list[Any] = session.run(None, {name: value.numpy() for name, value in given.items()})
    return max(
        float(np.abs(answer - want.numpy()).max() / want.abs().max().clamp(min=1e-12))
        for answer, want in zip(answers, wanted, strict=True)
    )


def _embedding_size(model: AmodalSam) -> tuple[int, int]:
    vision = model.config.vision_config
    return vision.output_channels, vision.image_size // vision.patch_size


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on packages that are not needed here, and on what is an error below anyhow."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _one_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
