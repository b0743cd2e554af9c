"""Write ``data/layer_block3_conv2.json``: what a whole layer looks like, a row a filter.

    python -m tools.make_layer_table [LAYER]

The pass of the layer (`techniques.layer_pass`, packaged pictures) is made, or read where `make
explorer` has left it; the table is its own, without the sentences. Minutes, if there is no pass.
"""

import sys

import vizutils as vz
from data import HOME
from techniques import layer_pass

LAYER = "block3_conv2"


def table(found):
    """Rows of plain data, in the order of filters.

    Parameters
    ----------
    found : layer_pass.LayerPass

    Returns
    -------
    DataFrame
        `layer_pass.LayerPass.table` without ``hypothesis``; ``r`` and ``score`` to three digits.
    """
    rows = found.table.drop(columns="hypothesis")
    return rows.assign(r=rows["r"].round(3), score=rows["score"].round(2))


def main(layer=LAYER):
    """Make or read the pass, and write the table."""
    net = vz.load_network("vgg16", weights="packaged")
    rows = table(layer_pass.run(net, layer)).to_json(orient="records", lines=False)
    path = HOME / f"layer_{layer}.json"
    path.write_text(rows.replace("},{", "},\n{") + "\n", encoding="utf-8")
    print(f"wrote {path} ({path.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main(*sys.argv[1:])
