"""Checks of checkpoints: can they be loaded, what is missing, are the numbers sound. Imports torch."""

from pathlib import Path

from samodal.check.findings import Finding, Findings
from samodal.errors import InputError
from samodal.sam.checkpoints import MisfitError, read_original
from samodal.sam.load import ORIGINAL_SUFFIXES, load_model


def check_checkpoint(path: Path) -> list[Finding]:
    """Faults of a model folder, or of a checkpoint of segment-anything or S-AModal. Nothing in a file is executed.

    Raises:
        InputError: a file that cannot be read at all.
    """
    findings = Findings()
    if path.is_file() and path.suffix not in ORIGINAL_SUFFIXES:
        findings.error(f"an ending that is not known; {', '.join(ORIGINAL_SUFFIXES)} are", path.suffix)
        return list(findings)
    adapter = "none"
    if path.suffix in ORIGINAL_SUFFIXES:
        state, _, config = read_original(path)
        if config is not None:
            adapter = config.adapter
        elif any(".Space_Adapter." in name for name in state):
            adapter = "medical-adapter"
            findings.warning("holds adapters of Medical-SAM: say --adapter medical-adapter")
        elif any(name.startswith("image_encoder.prompt_generator.") for name in state):
            adapter = "sam-adapter"
            findings.warning(
                "holds a prompt generator, as every checkpoint of S-AModal does: say --adapter sam-adapter if it was "
                "trained with it"
            )
    try:
        model = load_model(str(path), adapter)
    except MisfitError as error:
        for what, keys in error.faults.items():
            for key in keys:
                findings.error(f"weights {what}", key)
        return list(findings)
    except InputError as error:
        findings.error(str(error).removeprefix(f"{path}: "))
        return list(findings)
    for name, weight in model.named_parameters():
        if weight.numel() > 1 and not weight.any() and not name.endswith("bias") and "adapter" not in name:
            findings.warning("weights that are all zero", name)
    return list(findings)
