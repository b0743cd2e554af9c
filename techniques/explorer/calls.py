"""The calls that make what a page shows: Python with LAYER and FILTER to fill in."""

from __future__ import annotations

HEAD = "import vizutils as vz\n"
HALVES = """pictures = {pictures}
half_a, half_b = (pictures.subset(half) for half in layer_analysis.halves(pictures, 0))
"""

#: By what they show. ``{net}``, ``{pictures}``, ``{size}``: how those were loaded.
CALLS = {
    "picture": HEAD + """net = {net}
drawn = vz.maximize(net, LAYER, FILTER, size={size}, steps=80, optimiser=vz.Adam(0.4), calm=0.5)
figure = vz.plot_images(drawn.images, ["LAYERNAME, filter FILTER"], columns=1, width=3.0)
figure
""",
    "negative": HEAD + """net = {net}
drawn = vz.maximize(net, LAYER, FILTER, size={size}, steps=80, optimiser=vz.Adam(0.4), calm=0.5,
                    sign=-1)
figure = vz.plot_images(drawn.images, ["LAYERNAME, filter FILTER: least"], columns=1, width=3.0)
figure
""",
    "patches": HEAD + """net = {net}
pictures = {pictures}
patches = vz.top_patches(net, pictures, LAYER, FILTER)
figure = vz.plot_images(patches.images, [f"{{v:.1f}}" for v in patches.table["value"]], columns=3)
figure
""",
    "l2": HEAD + """net = {net}
ranking = vz.rank_kernels(net, LAYER, FILTER)
figure = vz.plot_kernels(net, LAYER, FILTER, ranking)
figure
""",
    "gives": HEAD + """from techniques import circuits, layer_analysis
net = {net}
""" + HALVES + """strong = circuits.windows(net, LAYER, FILTER, half_b,
                          vz.top_patches(net, half_b, LAYER, FILTER).table)
anywhere = circuits.windows(net, LAYER, FILTER, half_b,
                            circuits.random_places(net, LAYER, half_b, 300))
first = circuits.strongest(circuits.edge_table(strong, anywhere), "top")
ranking = vz.kernel_table(net, LAYER, FILTER).set_index("channel").loc[first].reset_index()
figure = vz.plot_kernels(net, LAYER, FILTER, ranking)
figure
""",
    "clients": HEAD + """from techniques import pathways
net = {net}
table = pathways.clients(net, LAYER, FILTER)
table
""",
    "groups": HEAD + """net = {net}
table = vz.group_table(vz.class_table(net, LAYER, FILTER, own=True).sort_values("index"))
figure = vz.plot_groups(table)
figure
""",
    "tuning": HEAD + """from techniques import layer_analysis, stimuli
net = {net}
""" + HALVES + """figure = stimuli.plot_polar(stimuli.tuning(net, LAYER, image_set=half_a), FILTER)
figure
""",
    "analysis": HEAD + """from techniques import analysis
net = {net}
pictures = {pictures}
found = analysis.analyse(net, LAYER, FILTER, pictures)
found.claims
""",
}


def templates(*, net: str, shown: str) -> dict[str, str]:
    """The calls of a network, each with LAYER, LAYERNAME, FILTER, SIZE (of a picture) to fill in.

    Parameters
    ----------
    net, shown : str
        The Python that loads them.
    """
    return {name: text.format(net=net, pictures=shown, size="SIZE")
            for name, text in CALLS.items()}
