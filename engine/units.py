"""Units of plain convolutions: folded with the batch normalisation that follows them.

A convolution that a batch normalisation directly follows is one unit with it, everywhere: its
pre-activation is the normalised output, its kernels are folded [1]_.

References
----------
.. [1] B. Jacob et al., "Quantization and training of neural networks for efficient
   integer-arithmetic-only inference", CVPR 2018, section 3.2 (folding).
"""

from __future__ import annotations

import numpy as np

from engine.graph import norm_scale_shift
from engine.network import Network


def unit_kernels(net: Network, layer: str) -> np.ndarray:
    """All kernels of a plain convolution, folded: float32, (rows, columns, channels, filters)."""
    kernel = net.plain_convolution(layer).kernel.numpy()
    return kernel if net.norm(layer) is None else kernel * norm_scale_shift(net, layer)[0]


def unit_biases(net: Network, layer: str) -> np.ndarray:
    """The biases that belong to `unit_kernels`: float32, (filters,)."""
    conv = net.plain_convolution(layer)
    bias = conv.bias.numpy() if conv.use_bias else np.zeros(net.channels(layer), "float32")
    scale, shift = norm_scale_shift(net, layer)
    return bias if net.norm(layer) is None else bias * scale + shift


def unit_weights(
    net: Network, layer: str, filter: int, taps: np.ndarray, bias: float | None = None
) -> dict[str, list[np.ndarray]]:
    """What to store, for `Network.with_weights`, so that a unit has these kernels.

    Parameters
    ----------
    taps : ndarray, shape (rows, columns, channels)
        Folded, as `vizutils.kernels` gives them. A unit whose normalisation multiplies by 0
        reads nothing, whatever they are.
    bias : float, optional
        Folded as well; what it was, by default.
    """
    kernel, *biases = net.plain_convolution(layer).get_weights()
    norm, scale = net.norm(layer), norm_scale_shift(net, layer)[0][filter]
    kernel[..., filter] = np.divide(taps, scale, out=np.zeros_like(taps, "float32"),
                                    where=scale != 0)
    found = {layer: [kernel, *biases]}
    if bias is None:
        return found
    if biases:
        biases[0][filter] = bias if norm is None else 0
    if norm is not None:
        stored = norm.get_weights()  # gamma and beta where there are such, mean, variance
        stored[-2][filter] = 0 if norm.center else -bias / scale if scale else 0
        if norm.center:
            stored[-3][filter] = bias
        found[norm.name] = stored
    return found
