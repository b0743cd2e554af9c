"""Drawn stimuli: pictures that differ in one property, for asking a unit what it looks for.

`battery` draws some 1,800 stimuli scaled to a unit's receptive field, `tuning` shows them all to
a layer, `summary` turns one filter's responses into indices and properties by rule, and the
`plot_*` functions draw its tuning maps. They lie, in this order, in ``drawing`` and
``catalogue``, ``responses``, ``indices``, ``figures``. ``junctions`` draws what tells nets, grids,
discs and lone lines apart, and is no part of the battery: `junction_tuning`, `meeting_effect`.

**Orientation** is that of the stripe, bar or edge itself, in degrees, counter-clockwise from
horizontal as seen on the screen: 0 lies flat, 45 runs from bottom left to top right, 90 stands.
Where a stimulus differs on its two sides the angle counts over 360 degrees, and what it is named
after - the light half of an edge, the centre of a curve's circle, the opening of a corner, the
finer side of a frequency boundary, the first of two colours - lies to the *left* of a walker who
walks along that angle: at 0 above, at 90 on the left. `waves`, which is older, counts the
direction *across* the stripes and clockwise: its angle a is the orientation 90 − a.

**Contrast** is equal by rule: a drawn pattern has mean zero over the canvas and a largest value
of one, and is multiplied by a colour of fixed luminance and chroma around mid-grey. *Luminance*
is the mean of R, G and B: a network sees numbers, not what is bright to a human eye.
"""

from techniques.stimuli.catalogue import (
    CHROMA,
    COLOURED,
    COLUMNS,
    SMALLEST,
    Stimuli,
    battery,
)
from techniques.stimuli.drawing import CONTRAST, FORMS, HUES, MID_GREY, hue_direction, waves
from techniques.stimuli.figures import (
    best_stimuli,
    plot_colour,
    plot_polar,
    plot_tuning,
    plot_tuning_maps,
)
from techniques.stimuli.indices import (
    CYCLES,
    EXCITED,
    FLAT,
    SELECTIVE,
    SIGNED,
    SIZES,
    Summary,
    orientation_curve,
    summary,
)
from techniques.stimuli.junctions import (
    KINDS,
    Junctions,
    junction_tuning,
    junctions,
    meeting_effect,
    plot_junctions,
    shown_junctions,
)
from techniques.stimuli.responses import Tuning, on_pictures, tuning

__all__ = [
    "waves", "battery", "Stimuli", "hue_direction", "tuning", "Tuning", "on_pictures", "summary",
    "Summary", "best_stimuli", "plot_tuning_maps", "plot_polar", "plot_colour", "plot_tuning",
    "MID_GREY", "CONTRAST", "COLOURED", "CHROMA", "HUES", "FORMS", "COLUMNS", "SMALLEST",
    "junctions", "Junctions", "KINDS", "shown_junctions", "junction_tuning", "meeting_effect",
    "plot_junctions", "EXCITED", "SELECTIVE", "FLAT", "CYCLES", "SIGNED", "SIZES",
    "orientation_curve",
]
