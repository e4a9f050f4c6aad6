"""One image, one click: python examples/click.py frame.png 80 60 [OUT.png]."""

import sys

import numpy as np
from PIL import Image

from samodal import AmodalSam


def main(path: str, x: str, y: str, out: str = "click.png") -> None:
    """Encode, decode, write the picture."""
    image = np.asarray(Image.open(path).convert("RGB"))
    model = AmodalSam.from_pretrained("samodal-nano")

    embedding = model.encode(image)  # once an image, however many clicks
    answer = model.decode(embedding, points=[[[float(x), float(y)]]])

    mask = answer.masks[0].numpy()
    print(f"{mask.sum()} pixels, expected IoU {float(answer.scores[0, 0]):.2f}")
    Image.fromarray(np.where(mask[..., None], image, image // 3)).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
