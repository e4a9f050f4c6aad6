"""The model card (README.md) of a model folder: what is known of a model, and nothing else."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open

from samodal import __version__, files
from samodal.errors import InputError
from samodal.sam import AmodalSamConfig
from samodal.sam.reading import read_config

_ADAPTERS = {
    "none": "no adapter",
    "sam-adapter": "SAM-Adapter (inner width {width})",
    "medical-adapter": "Medical-SAM-Adapter (inner width {width})",
    "lora": "LoRA (rank {width})",
}


@dataclass(frozen=True)
class CardFacts:
    """What a model's files do not say of it. What is empty is left out of the card, or called not known.

    Attributes:
        name: of the model; a Hugging Face id where it has one.
        base: what training began from.
        data: what it was trained on.
        options: the recipe, names and values.
        step: the optimiser step that the weights are of.
        scores: validation scores at that step, names and values.
        licence: of the weights, as Hugging Face calls it (apache-2.0).
    """

    name: str
    base: str = ""
    data: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""


def write_card(folder: str | Path, facts: CardFacts) -> None:
    """Write README.md to a model folder, all of it or nothing.

    Raises:
        InputError: the folder has no readable config.json.
    """
    folder = Path(folder)
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 (is no mapping)
    parameters = sum(math.prod(shape) for shape in shapes)
    files.write_text(folder / "README.md", card(read_config(folder), parameters, facts))


def run_facts(model_folder: str | Path) -> CardFacts:
    """The facts of `best` or `last` of a training run, from the files beside them; only the name where there are none.

    Args:
        model_folder: a folder that `samodal train` wrote, or any other.

    Raises:
        InputError: options.json is damaged.
    """
    folder = Path(model_folder).resolve()
    options, log = folder.parent / "options.json", folder.parent / "log.jsonl"
    if not (options.is_file() and log.is_file()):
        return CardFacts(folder.name)
    said = files.read_json(options)
    if not isinstance(said, dict):
        raise InputError(f"{options}: not the options of a training run (names and values are expected)")
    clips = [
        f"{len(said[what])} {what}"
        for what in ("clips", "validation clips")
        if isinstance(said.get(what), list)
    ]
    entries = map(_entry, log.read_text(encoding="utf-8", errors="replace").splitlines())
    validations = [entry for entry in entries if "iou" in entry]
    chosen: dict[str, Any] = {}
    if validations:
        chosen = (
            max(validations, key=lambda entry: entry["iou"]) if folder.name == "best" else validations[-1]
        )
    return CardFacts(
        folder.parent.name,
        data=", ".join(clips),
        options={k: v for k, v in said.items() if not k.endswith("clips") and not k.startswith("model.")},
        step=chosen.get("step"),
        scores={name: value for name, value in chosen.items() if name != "step"},
    )


def card(config: AmodalSamConfig, parameters: int, facts: CardFacts) -> str:
    """The text of a card: Hugging Face's header, what it is, how to use it, how it was made, scores, licence."""
    made = [
        f"Base: {facts.base or 'not said'}.",
        f"Data: {facts.data or 'not said'}.",
        "" if facts.step is None else f"Weights of step {facts.step}.",
    ]
    sections = [
        f"# {facts.name}\n\n{_what(config, parameters)}",
        f"## Use\n\n{_use(facts.name)}",
        "## How it was made\n\n" + "\n".join(f"* {line}" for line in made if line),
        _recipe(facts.options),
        f"## Validation scores\n\n{_table(facts.scores)}" if facts.scores else "",
        f"## Licence\n\n{facts.licence}" if facts.licence else f"## Licence\n\n{_NO_LICENCE}",
        f"Written by samodal {__version__}.",
    ]
    return f"{_header(facts)}\n\n" + "\n\n".join(section for section in sections if section) + "\n"


_NO_LICENCE = "Not said. The terms of the base model and of the data it was trained on apply."


def _header(facts: CardFacts) -> str:
    fields: dict[str, Any] = {"library_name": "samodal", "pipeline_tag": "image-segmentation"}
    if facts.licence:
        fields["license"] = facts.licence.lower()
    fields["tags"] = ["amodal-segmentation", "segment-anything", "video-instance-segmentation"]
    # JSON is YAML, whatever stands in the texts
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"])


def _what(config: AmodalSamConfig, parameters: int) -> str:
    vision = config.vision_config
    adapter = _ADAPTERS.get(config.adapter, config.adapter).format(width=config.adapter_width)
    prompts = " and ".join(config.prompt_kinds)
    return (
        "An amodal SAM: shown the visible part of an instance, it answers with the full shape, the hidden part "
        f"included. {vision.image_size} x {vision.image_size} pixels, an image encoder of {vision.num_hidden_layers} "
        f"blocks of width {vision.hidden_size}, a mask decoder of width {config.mask_decoder_config.hidden_size}, "
        f"{adapter}; {parameters / 1e6:.1f} million parameters. It is prompted with {prompts}."
    )


def _use(name: str) -> str:
    quoted = json.dumps(name, ensure_ascii=False)
    return (
        f"```python\nfrom samodal import AmodalSam\nmodel = AmodalSam.from_pretrained({quoted})\n```\n\n"
        f"On a video: `samodal predict clip.mp4 --visible results.json --model {name}`."
    )


def _recipe(options: Mapping[str, Any]) -> str:
    if not options:
        return ""
    lines = (f"{name} = {json.dumps(value)}" for name, value in options.items())
    return "Options:\n\n```\n" + "\n".join(lines) + "\n```"


def _table(scores: Mapping[str, float]) -> str:
    rows = (f"| {name} | {value:.3f} |" for name, value in scores.items())
    return "\n".join(["| score | |", "|---|---|", *rows])


def _entry(line: str) -> dict[str, Any]:
    """The numbers in a line of the log; nothing of one that was cut off."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    values = entry if isinstance(entry, dict) else {}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}
