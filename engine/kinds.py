"""One table of layer kinds: what each does with positions, channels, signs and gradients.

All code that follows a network's layer graph uses this table: receptive fields, the layer whose
channels a convolution reads, backward rules, paths through several layers, signs, chains rebuilt
without padding. A new kind of layer is one row.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Kind:
    """What the layers of one kind do, in inference.

    Attributes
    ----------
    reads : {"picture", "position", "window", "border", "spread", "size", "everything"}
        What one output position depends on: the layer is the picture itself; the same position
        of the input only; a window of it; the same position, on a map with a border added or cut
        off; a part of an input position, on a map that is made larger; whatever brings the map to
        a given size; all positions.
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
    augments : bool
        It changes pictures at random while a network is trained, and nothing in inference.
    """

    reads: str
    channels: str
    rectifies: bool = False
    sign: bool = False
    backward: bool = True
    convolves: bool = False
    augments: bool = False


def _rows(names: str, *facts, **more) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), Kind(*facts, **more))


#: The table, by the name of the layer's class.
KINDS = {
    **_rows("InputLayer", "picture", "kept"),
    **_rows("Conv2D SeparableConv2D DepthwiseConv2D", "window", "mixed", convolves=True),
    **_rows("Conv2DTranspose", "spread", "mixed", convolves=True),
    **_rows("MaxPooling2D AveragePooling2D", "window", "kept", sign=True),
    **_rows("ZeroPadding2D Cropping2D", "border", "kept", sign=True),
    **_rows("Activation ReLU", "position", "kept", rectifies=True),
    **_rows("LeakyReLU PReLU ELU", "position", "kept", rectifies=True, backward=False),
    **_rows("Softmax", "position", "mixed", rectifies=True, backward=False),
    **_rows("BatchNormalization Rescaling Normalization LayerScale", "position", "kept"),
    **_rows("LayerNormalization UnitNormalization", "position", "mixed"),  # over channels alone
    **_rows("GroupNormalization", "everything", "mixed"),
    **_rows("UpSampling2D", "spread", "kept", sign=True),
    **_rows("Resizing CenterCrop RandomCrop", "size", "kept", sign=True),
    **_rows("Dropout SpatialDropout2D Identity ActivityRegularization StochasticDepth",
            "position", "kept", sign=True),
    **_rows("GaussianNoise GaussianDropout AlphaDropout", "position", "kept"),
    **_rows("RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast "
            "RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale "
            "RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation "
            "RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom "
            "AugMix CutMix MixUp RandAugment", "position", "kept", augments=True),
    **_rows("Add Average Maximum Minimum Multiply", "position", "joined", sign=True),
    **_rows("Subtract CustomScaleLayer", "position", "joined"),
    **_rows("Concatenate", "position", "stacked", sign=True),
    **_rows("Dense Flatten Reshape", "everything", "mixed"),
    **_rows("GlobalAveragePooling2D GlobalMaxPooling2D", "everything", "kept", sign=True),
    # Operations that are no layers: keras.ops, and arithmetic on Keras's tensors.
    **_rows("Relu Relu6", "position", "kept", rectifies=True, sign=True, backward=False),
    **_rows("Sigmoid HardSigmoid Silu HardSilu Gelu Tanh Softplus Elu Selu LeakyRelu Mish",
            "position", "kept", rectifies=True, backward=False),
    **_rows("Divide TrueDivide", "position", "joined"),
    **_rows("Clip Cast", "position", "kept", backward=False),
    **_rows("GetItem", "everything", "mixed"),  # unless it takes all positions
    **_rows("Stack", "position", "mixed"),
}
#: A layer of a kind that the table does not have: nothing is known of it.
UNKNOWN = Kind("everything", "mixed", backward=False)

#: Layers that run code, or read files, that a model's file brings.
RUNS_CODE = ("Lambda TFSMLayer TorchModuleWrapper JaxLayer FlaxLayer StringLookup IntegerLookup "
             "TextVectorization").split()

#: Activation functions whose values are never negative.
NON_NEGATIVE = "relu relu6 sigmoid hard_sigmoid softplus softmax exponential".split()


def kind_of(layer: keras.layers.Layer) -> Kind:
    """The table's entry for a layer or an operation; `UNKNOWN` if there is none."""
    if type(layer).__module__.partition(".")[0] != "keras":
        return UNKNOWN  # somebody's own class of the same name, or a subclass, may do anything
    found = KINDS.get(type(layer).__name__, UNKNOWN)
    nodes = layer._inbound_nodes  # noqa: SLF001  (Keras has no public name for it)
    given = nodes[0].arguments if nodes else None
    if type(layer).__name__ == "GetItem":  # arithmetic on colours: x[..., ::-1], x[..., 0]
        return dataclasses.replace(found, reads="position") if _keeps_positions(
            given.args[1]) else found
    if type(layer).__name__ == "Dense" and nodes and len(nodes[0].output_tensors[0].shape) == 4:
        return Kind("position", "mixed")  # a convolution of one position
    if found.channels == "joined" and given and len(given.keras_tensors) == 1:
        return dataclasses.replace(found, channels="kept", sign=False)  # with a constant
    return found if _is_along_channels(layer, nodes) else KINDS["GroupNormalization"]


def _is_along_channels(layer: keras.layers.Layer, nodes) -> bool:
    """Whether what mixes or joins along an axis does so along channels, or has no such axis."""
    axis = getattr(layer, "axis", None)
    own = KINDS.get(type(layer).__name__, UNKNOWN)
    if axis is None or not nodes or own.channels == "kept":  # a batch norm's numbers are fixed
        return True
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    last = len(nodes[0].output_tensors[0].shape) - 1
    return all(one in (-1, last) for one in axes)


def _keeps_positions(key) -> bool:
    """Whether indexing leaves pictures, rows and columns whole: ``[..., ::-1]``."""
    key = key if isinstance(key, tuple) else (key,)
    before = key[:-1] if len(key) == 4 or key[0] is Ellipsis else key
    return all(one is Ellipsis or one == slice(None) for one in before)


def is_never_negative(layer: keras.layers.Layer) -> bool:
    """Whether a layer's own activation function leaves nothing below zero."""
    if type(layer).__name__ == "ReLU":
        return not layer.negative_slope
    activation = getattr(layer, "activation", None)
    return activation is not None and getattr(activation, "__name__", "") in NON_NEGATIVE
