"""Pictures changed a little so that the network says something else: adversaries.

No pixel may move by more than ε grey levels, ‖δ‖∞ ≤ ε, and none may leave 0-255. Within these
bounds the loss of the class, cross-entropy on the logits, is driven up (*untargeted*: anything
but what the network said) or that of another class down (*targeted*: exactly that one). This
package

1. **attacks** (``results``, ``attacks``): one step along the gradient's signs (`fgsm`), many
   small ones that are projected back (`pgd`), and random signs of the same size as a control
   (`sign_noise`); eight bits a pixel (`rounded`);
2. **counts** (``counts``): `rates`, `sweep` over ε, `transfer` to another network;
3. **looks inside** (``changes``): how much each layer (`layer_change`) and each filter
   (`filter_change`) moves;
4. **defends**, simply (``defences``): `jpeg`, `blur`, measured by `defend`;
5. **draws** the results (``figures``): `plot_adversaries`, `plot_rates`, `plot_layers`,
   `plot_filters`, `plot_attributions`.
"""

from techniques.adversarial.attacks import (
    BATCH,
    fgsm,
    gradient_signs,
    pgd,
    random_signs,
    rounded,
    sign_noise,
)
from techniques.adversarial.changes import filter_change, layer_change
from techniques.adversarial.counts import rates, sweep, transfer
from techniques.adversarial.defences import blur, defend, jpeg
from techniques.adversarial.figures import (
    plot_adversaries,
    plot_attributions,
    plot_filters,
    plot_layers,
    plot_rates,
)
from techniques.adversarial.results import (
    SPREAD,
    Adversaries,
    Before,
    bounds,
    class_name,
    grey_levels,
    look,
)

__all__ = [
    "Before", "Adversaries", "look", "class_name", "grey_levels", "SPREAD", "bounds", "fgsm",
    "pgd", "sign_noise", "rounded", "gradient_signs", "random_signs", "BATCH", "rates", "sweep",
    "transfer", "layer_change", "filter_change", "jpeg", "blur", "defend", "plot_adversaries",
    "plot_rates", "plot_layers", "plot_filters", "plot_attributions",
]
