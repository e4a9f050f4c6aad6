"""DAVIS 2016 and 2017 (Perazzi et al., CVPR 2016; Pont-Tuset et al., 2017): PNG masks; visible masks only."""

from dataclasses import dataclass, field
from pathlib import Path

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.id_maps import VOID, WHITE, encoded_map
from samodal.data.listing import (
    Names,
    chosen,
    existing_or_first,
    first_existing,
    listed_video,
    pick,
    subfolders,
)
from samodal.errors import InputError
from samodal.frames import natural_order, open_images


def open_davis(
    root: str | Path, split: str = "val", resolution: str = "480p", sequences: Names | None = None
) -> Dataset:
    """Open DAVIS: id maps (2017), or one object white on black (2016), every category 1.

    Args:
        root: with `Annotations/<resolution>/<sequence>/<frame>.png` and `JPEGImages/<resolution>/<sequence>/
            <frame>.jpg`; the frames need not be there.
        split: a list `ImageSets/{2017,2016,<resolution>}/<split>.txt`, or all.
        resolution: 480p, or Full-Resolution.
        sequences: only these, in place of a split: names, or a file with names.

    Raises:
        InputError: files are missing or broken.
    """
    root = Path(root)
    folder = first_existing([root / "Annotations" / resolution], "folders of PNG masks, one a sequence,")
    images = root / "JPEGImages" / resolution
    names = subfolders(folder)
    if sequences is not None:
        names = pick(names, chosen(sequences, split), folder)
    elif split != "all":
        lists = [root / "ImageSets" / year / f"{split}.txt" for year in ("2017", "2016", resolution)]
        names = pick(
            names, _listed(first_existing(lists, "the list of a split (or pass split 'all')")), folder
        )

    def clip(index: int) -> Clip:
        name = names[index]
        maps = sorted((folder / name).glob("*.png"), key=natural_order)
        size = open_images(maps, folder / name).size  # also: numbers without a hole, one size
        frames = [
            existing_or_first([images / name / f"{path.stem}{end}" for end in (".jpg", ".png")])
            for path in maps
        ]
        return Clip(name, listed_video(frames, size, name), _Maps(maps, size), {}, index + 1, annotated=())

    return Dataset(names, clip, {1: "object"})


def _listed(path: Path) -> list[str]:
    """The sequences of a list: names, or (2016) lines with the paths of a frame and its mask."""
    try:
        lines = [line.split()[0] for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of sequences ({error})") from None
    return [Path(line).parent.name if "/" in line else line for line in lines]


@dataclass
class _Maps:
    """Frame index -> its instances; can be sent to a loader process."""

    paths: list[Path]
    size: tuple[int, int]
    _white: bool | None = field(default=None, init=False)

    def __call__(self, frame: int) -> list[Instance]:
        found = encoded_map(self.paths[frame], self.size)
        if self.white:
            return [Instance(1, 1, None, rle) for rle in found.values()]
        return [Instance(value, 1, None, rle) for value, rle in found.items() if value != VOID]

    @property
    def white(self) -> bool:
        """Whether it is one object white on black: the first frame in which anything is tells."""
        if self._white is None:
            found = (encoded_map(path, self.size).keys() for path in self.paths)
            values = next((set(values) for values in found if values), set[int]())
            self._white = len(values) == 1 and values <= WHITE
        return self._white
