"""What the benchmarks share: counting arithmetic, and the machine's own rate of it."""

import statistics
import time

import numpy as np
import tensorflow as tf

import vizutils as vz


def forward_flops(net: vz.Network, layer: str, size: int) -> float:
    """Floating-point operations of one picture's way up to `layer` (convolutions only).

    A multiplication and an addition count as two; an ascent step costs twice as many, forward
    and back to the picture, since no gradient of a weight is needed.
    """
    total = 0.0
    for conv in vz.submodel(net, layer).layers:
        if hasattr(conv, "kernel_size"):
            positions = vz.receptive_field(net, conv.name, input_size=size).positions ** 2
            total += 2.0 * positions * np.prod(conv.kernel.shape)
    return total


def matrix_product_rate(side: int = 2048) -> float:
    """Operations a second of a square float32 matrix product, the median of seven."""
    a = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(lambda x: tf.linalg.matmul(x, x))
    product(a)
    return 2.0 * side**3 / statistics.median(seconds(lambda: product(a).numpy(), 7))


def seconds(work, runs: int = 5, warm_up: int = 1) -> list[float]:
    """Wall time of `runs` calls after `warm_up` uncounted ones."""
    for _ in range(warm_up):
        work()
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found
