"""`samodal export`: a model for others, as a Hugging Face folder, a checkpoint of S-AModal, or ONNX files."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from samodal import files
from samodal.errors import InputError
from samodal.export.card import CardFacts, run_facts, write_card
from samodal.export.onnx_files import TOLERANCE, check_extra, check_opset, write_onnx
from samodal.export.original import check_original, differences, merged, write_original
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.sam.reading import BUNDLED, find_folder

if TYPE_CHECKING:
    from samodal.commands import Export


def run(command: "Export") -> None:
    """Load the model, write all that was asked for, and say what was written.

    Raises:
        InputError: nothing was asked for, or what cannot be written; no such model; ONNX files that answer otherwise.
    """
    if command.hf is None and command.original is None and command.onnx is None:
        raise InputError("export: nothing to write; say --hf DIR, --original FILE or --onnx DIR")
    if command.original is not None:
        check_original(command.original)
    if command.onnx is not None:
        check_extra()
        check_opset(command.opset)
    for option, folder in (("--hf", command.hf), ("--onnx", command.onnx)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{option} {folder}: is a file; a folder is written")
    model = merged(load_model(command.model, command.adapter))
    if command.hf is not None:
        _write_folder(model, command, command.hf)
        print(f"{command.hf}: config.json, model.safetensors, README.md")
    if command.original is not None:
        write_original(model, command.original)
        print(f"{command.original}: weights under the names of S-AModal")
        for reason in differences(model.config):
            print(f"  S-AModal's own code will not answer the same with them: {reason}")
    if command.onnx is not None:
        for name, difference in write_onnx(model, command.onnx, command.opset).items():
            print(
                f"{command.onnx / name}: differs from torch by {difference:.1e} of the largest value "
                f"(tolerance {TOLERANCE:g})"
            )


def _write_folder(model: AmodalSam, command: "Export", folder: Path) -> None:
    """The model and its card: its own one, or one of what is known where it has none or more is said."""
    said = {"name": command.name, "base": command.base, "data": command.data, "licence": command.licence}
    facts: dict[str, Any] = {field: text for field, text in said.items() if text}
    source = find_folder(command.model) if command.model in BUNDLED else Path(command.model)
    own = source / "README.md"
    text = own.read_text(encoding="utf-8", errors="replace") if own.is_file() and not facts else ""
    model.save_pretrained(folder, _dtype(source))
    if text:
        files.write_text(folder / "README.md", text)
    elif source.is_dir():
        write_card(folder, replace(run_facts(source), **facts))
    else:
        base = source.name if source.is_file() else command.model  # a checkpoint, or a Hugging Face id
        write_card(folder, replace(CardFacts(folder.name, base=base), **facts))


def _dtype(source: Path) -> torch.dtype | None:
    """What a folder's weights were saved as; they are loaded as float32."""
    config = source / "config.json"
    name = files.read_json(config).get("dtype") if config.is_file() else None
    return {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(str(name))
