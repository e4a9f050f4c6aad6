"""Colours that people with any colour vision can tell apart, the same for a track wherever it is drawn."""

Colour = tuple[int, int, int]
"""Red, green, blue in [0, 255]."""

# Okabe and Ito, "Color Universal Design" (2008), without black, and three more. Those lie further from all
# others than the closest two of the original do (CIELAB; also as seen with prot-, deuter- and tritanopia).
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (240, 228, 66),
    (128, 32, 224),
    (192, 224, 192),
    (0, 114, 178),
    (224, 0, 64),
    (204, 121, 167),
)


def colour_of(track_id: int) -> Colour:
    """The colour of a track. Ids that are a palette's length apart share one: always show the id with it."""
    return PALETTE[track_id % len(PALETTE)]


def css(colour: Colour) -> str:
    """The colour as CSS and HTML spell it, "#e69f00"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
