"""Write the procedural driving world to disk, in the layout of AmodalSynthDrive."""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from samodal.data.write.asd_sequence import write_sequence
from samodal.errors import InputError
from samodal.files import plain_name, read_json, try_folder


def write_synthetic(
    root: str | Path,
    splits: Mapping[str, Sequence[int]],
    frames: int,
    size: tuple[int, int],
    preset: str,
    camera: str = "front",
    progress: Callable[[], None] | None = None,
    workers: int = 1,
) -> None:
    """Render one sequence a seed.

    What is there already is kept, so a run that was cut off can be started again.

    Args:
        root: of the data set, to be read with `open_dataset("asd", root, split)`.
        splits: split -> seeds of its sequences.
        frames: frames a sequence.
        size: (H, W) of a frame.
        preset: of the world, see `samodal.data.synthetic.make_clip`.
        camera: which camera of the layout the frames are stored as.
        progress: called after every sequence.
        workers: processes; the files do not depend on it.

    Raises:
        InputError: `root` cannot be written to, or holds sequences of the same seeds that were made with other
            settings; a split that cannot be a folder's name.
    """
    for split in splits:
        try_folder(Path(root) / plain_name(split, "--split"))
    settings = {"frames": frames, "size": list(size), "preset": preset}
    jobs = [(Path(root), split, camera, seed, settings) for split, seeds in splits.items() for seed in seeds]
    if workers <= 1:
        for job in jobs:
            _write_one(*job)
            if progress:
                progress()
        return
    # Spawned, because a fork of a process that runs threads (OpenCV, torch) can hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write_one, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                if progress:
                    progress()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_one(root: Path, split: str, camera: str, seed: int, settings: dict[str, Any]) -> None:
    written = list((root / split / "images" / camera).glob(f"{seed:014d}_*_Synthetic"))
    if written:
        truth = root / split / "truth" / camera / f"{written[0].name}.json"
        if read_json(truth).get("settings") != settings:
            raise InputError(
                f"{written[0]}: made with other settings than {settings}; remove it or choose another folder"
            )
        return
    from samodal.data.synthetic import make_clip

    clip = make_clip(seed, settings["frames"], tuple(settings["size"]), settings["preset"])
    weather = "".join(re.findall(r"\w+", str(clip.extra.get("weather", "Default")).title()))
    write_sequence(
        root,
        split,
        camera,
        f"{seed:014d}_{weather}_Synthetic",
        ((clip.video[frame], clip.instances(frame)) for frame in range(len(clip))),
        {"seed": seed, "settings": settings, **clip.extra},
    )
