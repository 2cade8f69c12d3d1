"""Colors that do not need color vision, and the steps of the heat maps in light and dark.

The hues are Okabe and Ito's (2008), darkened on white and lightened on dark until texts in them
have a contrast of 4.5 or more. No chart tells things apart by color alone.
"""

from __future__ import annotations

STEPS = 11
"""Heat maps have the classes `s0` (nothing) to `s10` (all)."""

_LIGHT = ((247, 250, 253), (0, 74, 128))
_DARK = ((27, 34, 42), (150, 212, 250))
# Of black and white one always has a contrast of 4.58 or more.
_INKS = ("#000000", "#ffffff")

Color = tuple[int, int, int]


def heat_rules(*, dark: bool) -> str:
    """Return the style sheet's rules for the steps: fill, and the ink that is best read on it."""
    low, high = _DARK if dark else _LIGHT
    rules = []
    for step in range(STEPS):
        share = step / (STEPS - 1)
        red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
        ink = max(_INKS, key=lambda each: contrast(_parsed(each), (red, green, blue)))
        rules.append(f".s{step}{{fill:rgb({red},{green},{blue})}}.t{step}{{fill:{ink}}}")
    return "\n".join(rules)


def step_of(share: float) -> int:
    """Return the step of a share from 0 to 1."""
    return min(max(round(share * (STEPS - 1)), 0), STEPS - 1)


def contrast(one: Color, other: Color) -> float:
    """Return the contrast of two colors, 1 to 21, as WCAG 2 defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: Color) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (each / 255 for each in color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _parsed(color: str) -> Color:
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue
