"""What is chosen, as an address that can be shared and as the call that opens it again."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

#: Names in an address that are whole numbers.
_NUMBERS = ("filter", "size", "steps", "seed")
_WORDS = ("network", "layer", "picture", "preset", "beside_network", "beside_picture")


def asked(query: str) -> tuple[dict, str]:
    """Read what an address asks for.

    Parameters
    ----------
    query : str
        What follows the question mark: ``layer=block3_conv2&filter=17``.

    Returns
    -------
    (dict, str)
        Arguments of `Dashboard`, and a sentence on what was not understood.
    """
    found, problems = {}, []
    for name, values in parse_qs(query.lstrip("?")).items():
        value = values[-1]
        if name in _WORDS:
            found[name] = value
        elif name == "shown":
            found["shown"] = [panel for panel in value.split(",") if panel]
        elif name == "beside" and value.rpartition("/")[-1].isdecimal():
            layer, _, filter = value.rpartition("/")
            found["beside"] = (layer, int(filter))
        elif name in _NUMBERS and value.isdecimal():
            found[name] = int(value)
        elif name in (*_NUMBERS, "beside"):
            problems.append(f"{name}={value} in the address is not understood.")
        elif name not in ("theme", "template"):  # Voilà's own
            problems.append(f"{name} in the address is not known.")
    return found, " ".join(problems)


def call(choices: Mapping[str, object]) -> str:
    """Code that opens a dashboard with these choices, `Dashboard`'s arguments by name."""
    given = "".join(f"\n    {name}={value!r}," for name, value in choices.items())
    return f"from techniques import dashboard\ndashboard.Dashboard({given}\n)\n"
