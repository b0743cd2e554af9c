"""One table of layer kinds: what each does with positions, channels, signs and gradients.

All code that follows a network's layer graph uses this table: receptive fields, the layer whose
channels a convolution reads, backward rules, paths through several layers, signs, chains rebuilt
without padding. A new kind of layer is one row.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Kind:
    """What the layers of one kind do, in inference.

    Attributes
    ----------
    reads : {"picture", "position", "window", "border", "everything"}
        What one output position depends on: the layer is the picture itself; the same position
        of the input only; a window of it; the same position, on a map with a border added or cut
        off; all positions.
    channels : {"kept", "joined", "stacked", "mixed"}
        Channel k of the output is channel k of the one input, rescaled or resampled; of all inputs,
        joined; the inputs' channels one behind the other; or any of them.
    rectifies : bool
        It is nothing but an activation function: what it reads is the pre-activation.
    sign : bool
        Inputs that are never negative give outputs that are never negative, for any weights.
    backward : bool
        There is one way to send a signal back: the layer is linear, or chooses among its inputs.
        (For a ReLU there are several, the backward rules; its entry is true because they cover it.)
    convolves : bool
        It is a convolution: its filters are what this project looks into.
    """

    reads: str
    channels: str
    rectifies: bool = False
    sign: bool = False
    backward: bool = True
    convolves: bool = False


def _rows(names: str, *facts, **more) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), Kind(*facts, **more))


#: The table, by the name of the layer's class.
KINDS = {
    **_rows("InputLayer", "picture", "kept"),
    **_rows("Conv2D SeparableConv2D DepthwiseConv2D", "window", "mixed", convolves=True),
    **_rows("MaxPooling2D AveragePooling2D", "window", "kept", sign=True),
    **_rows("ZeroPadding2D Cropping2D", "border", "kept", sign=True),
    **_rows("Activation ReLU", "position", "kept", rectifies=True),
    **_rows("LeakyReLU PReLU ELU", "position", "kept", rectifies=True, backward=False),
    **_rows("Softmax", "position", "mixed", rectifies=True, backward=False),
    **_rows("BatchNormalization Rescaling Normalization", "position", "kept"),
    **_rows("LayerNormalization", "position", "mixed"),  # over channels alone
    **_rows("GroupNormalization", "everything", "mixed"),
    **_rows("UpSampling2D", "everything", "kept", sign=True),
    **_rows("Dropout SpatialDropout2D Identity", "position", "kept", sign=True),
    **_rows("GaussianNoise GaussianDropout", "position", "kept"),
    **_rows("Add Average Maximum Minimum Multiply", "position", "joined", sign=True),
    **_rows("Subtract", "position", "joined"),
    **_rows("Concatenate", "position", "stacked", sign=True),
    **_rows("Dense Flatten Reshape", "everything", "mixed"),
    **_rows("GlobalAveragePooling2D GlobalMaxPooling2D", "everything", "kept", sign=True),
}
#: A layer of a kind that the table does not have: nothing is known of it.
UNKNOWN = Kind("everything", "mixed", backward=False)

#: Activation functions whose values are never negative.
NON_NEGATIVE = "relu relu6 sigmoid hard_sigmoid softplus softmax exponential".split()


def kind_of(layer: keras.layers.Layer) -> Kind:
    """The table's entry for a layer; `UNKNOWN` if there is none."""
    found = KINDS.get(type(layer).__name__, UNKNOWN)  # a subclass may do anything
    if isinstance(layer, (keras.layers.LayerNormalization, keras.layers.Concatenate,
                          keras.layers.Softmax)):  # along channels, or else along positions
        axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
        last = len(layer.output.shape) - 1
        return found if all(axis in (-1, last) for axis in axes) else KINDS["GroupNormalization"]
    return found


def is_never_negative(layer: keras.layers.Layer) -> bool:
    """Whether a layer's own activation function leaves nothing below zero."""
    if type(layer).__name__ == "ReLU":
        return not layer.negative_slope
    activation = getattr(layer, "activation", None)
    return activation is not None and activation.__name__ in NON_NEGATIVE
