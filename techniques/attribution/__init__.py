"""Which pixels a class logit rests on: gradients, paths, class activation maps, hidden patches.

Every method gives one number a pixel for one class logit of one picture (`Attribution`):

====================  =================================================  ======  ==========
method                a pixel's number                                   signed  cost [#]_
====================  =================================================  ======  ==========
saliency              largest |∂ logit| over red, green, blue            no      1
SmoothGrad            the same for a mean gradient over noisy copies     no      samples
gradient × input      gradient × (pixel − baseline), summed over RGB     yes     1
integrated gradients  the same, gradient averaged on the way there       yes     steps
Grad-CAM              channels of a late layer, weighted by gradient     no      1
guided Grad-CAM       Grad-CAM × guided backpropagation                  no      2
occlusion             fall of the logit under a grey patch               yes     places / 3
LIME                  weight of its superpixel in a linear fit           yes     samples / 3
====================  =================================================  ======  ==========

.. [#] In gradients of the network; a pass forwards alone is about a third of one.

All of them explain **logits**, before any softmax, and with respect to RGB pixels of 0-255: the
network's own preprocessing is part of the function that is explained.

``passes``: logits and gradients; ``targets``: what is asked; ``result``: what comes back;
``gradients``, ``cam``, ``perturbation``: the methods, with their sources; ``figures`` draws the
results.
"""

from techniques.attribution.cam import coarse_cam, grad_cam, guided_grad_cam, last_map
from techniques.attribution.figures import plot_attribution, plot_comparison
from techniques.attribution.gradients import (
    completeness,
    gradient_times_input,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from techniques.attribution.perturbation import MEAN_COLOUR, lime, occlusion
from techniques.attribution.result import Attribution
from techniques.attribution.targets import resolve_targets

__all__ = [
    "Attribution", "resolve_targets", "saliency", "smooth_grad", "gradient_times_input",
    "integrated_gradients", "completeness", "grad_cam", "coarse_cam", "last_map",
    "guided_grad_cam", "occlusion", "lime", "MEAN_COLOUR", "plot_attribution", "plot_comparison",
]
