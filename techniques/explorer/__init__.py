"""What the explorer's pages say of every filter of a network, as plain data.

``weights`` measures kernels, readers and class groups of whole layers without drawing anything;
``words`` names what filters can be found by; ``pages`` puts together what a contact sheet and a
filter's page say; ``calls`` has the Python that makes the same figures. `tools.explorer` writes
all of it to a site that opens from the file system.
"""

from techniques.explorer.calls import templates
from techniques.explorer.pages import TOP, Layer, entry, read, unit
from techniques.explorer.weights import (
    Groups,
    Inputs,
    Readers,
    groups,
    inputs,
    plain_layers,
    readers,
)
from techniques.explorer.words import MEASURES, TAGS

__all__ = ["read", "Layer", "entry", "unit", "TOP", "inputs", "Inputs", "readers", "Readers",
           "groups", "Groups", "plain_layers", "templates", "TAGS", "MEASURES"]
