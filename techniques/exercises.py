"""The exercises' names for things, and what they are called here.

The exercises that the companions follow name functions to be written, and count the modules of
another library's VGG16. `FUNCTIONS` says for each name what is called here; every call runs as it
stands, once `net`, `image` and the others that a notebook has by then exist (a test runs them
all). Modules are counted by `inversion.positions`.
"""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd


class Function(NamedTuple):
    """A function of the exercises: its name there, the call here, and what that gives.

    Attributes
    ----------
    asked, call : str
    gives : str
        The type of what the call returns.
    holds : str
        What it is, in words.
    companion : int
        Where it is used and explained.
    """

    asked: str
    call: str
    gives: str
    holds: str
    companion: int


#: `image` is one picture, `images` several (RGB 0-255), `pictures` an `ImageSet`, `layer` and
#: `filter` a unit, `other` another network, `inverted` and `attacked` what `inversion.invert` and
#: `adversarial.fgsm` return.
FUNCTIONS = (
    Function("visualize_filter", "vz.visualize_filter(net, layer, filter)", "Figure",
             "one filter's picture, its ascent printed", 8),
    Function("maximize_filter_activation", "vz.maximize(net, layer, filter)", "Ascent",
             "picture, history and report", 8),
    Function("analyze_filter_specialization", "vz.class_table(net, layer, filter, pictures)",
             "DataFrame", "classes of the pictures that excite it most", 1),
    Function("calculate_image_similarity", "inversion.likeness(image, images[1])", "dict",
             "PSNR, SSIM, correlation", 2),
    Function("analyze_information_preservation", "inversion.information(net, {layer: inverted})",
             "DataFrame", "likeness, feature error and class, by depth", 2),
    Function("implement_gradcam", "attribution.grad_cam(net, images)", "Attribution",
             "a map for each picture's first guess", 3),
    Function("implement_integrated_gradients", "attribution.integrated_gradients(net, images)",
             "Attribution", "shares that add up to the logit's rise", 3),
    Function("generate_adversarial_example", "adversarial.fgsm(net, images, epsilon=1)",
             "Adversaries", "changed pictures and what they are called", 4),
    Function("visualize_adversarial_effects", "adversarial.plot_adversaries(attacked)", "Figure",
             "picture, change, adversary", 4),
    Function("load_alternative_model", "vz.load_network('efficientnet_lite0')", "Network",
             "another network, frozen; names of keras.applications too", 5),
    Function("compare_architectures", "architectures.compare([net, other], pictures)",
             "DataFrame", "accuracy, parameters, multiply-adds", 5),
    Function("create_interactive_dashboard",
             "dashboard.Dashboard(net, layer=layer, filter=filter)", "Dashboard",
             "widgets for any filter", 6),
)


def functions() -> pd.DataFrame:
    """`FUNCTIONS` as a table: ``asked, call here, gives, companion``, one row a name."""
    return pd.DataFrame([(f.asked, f.call, f"{f.gives}: {f.holds}", f.companion)
                         for f in FUNCTIONS], columns=["asked", "here", "gives", "companion"])
