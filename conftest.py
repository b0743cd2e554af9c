"""How nbval compares a notebook's outputs with a fresh run.

This must be the root's conftest.py: one in tests/ is not heard for a notebook
that lies here. Two rules are added to nbval's own:

* What is printed to stderr (progress bars, warnings of libraries) is no result
  and is not compared.
* A number after the sign ≈ is compared with a tolerance, because an ascent's
  result moves a little between processors and releases. With an interval behind
  it (``≈ 8 of 16 [4, 12]``, ``≈ 0.21 [0.05, 0.43]``; techniques/intervals.py) it
  comes from climbs that end elsewhere on another processor: two such numbers may
  differ by what two samples may, the root of the sum of both intervals' squares.
  Everything else, the text around that number included, must be equal to the
  letter; only how a table's columns are padded may follow its numbers' widths.
* Where an output has HTML, its plain text is not compared as well: a table says the
  same twice, and how pandas breaks the plain one's lines hangs on its numbers' widths.
"""

import functools
import re
from decimal import Decimal

# How far a number after ≈ may be from the committed one: this share of it, and
# one unit of its last printed digit (either number may be rounded by half).
TOLERANCE = Decimal("0.05")

NUMBER = r"[-−+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?"
APPROXIMATE = re.compile(
    rf"≈\s*(?P<number>{NUMBER})"
    rf"(?:(?P<total> of \d+)? \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\])?"
)


def value(text):
    """The number that a text means."""
    return Decimal(text.replace(",", "").replace("−", "-"))


def is_near(number, reference):
    """Whether two printed numbers agree within the tolerance."""
    number, reference = value(number), value(reference)
    last_digit = Decimal(1).scaleb(reference.as_tuple().exponent)
    largest = max(abs(number), abs(reference))
    return abs(number - reference) <= TOLERANCE * largest + last_digit


def agree(found, expected):
    """Whether two matches of `APPROXIMATE` may stand for the same result."""
    if not found["low"] or not expected["low"]:
        plain = not found["low"] and not expected["low"]
        return plain and is_near(found["number"], expected["number"])
    samples = sorted([value(match[name]) for name in ("number", "low", "high")]
                     for match in (found, expected))
    sound = all(low <= number <= high for number, low, high in samples)
    (less, _, up_to), (more, down_to, _) = samples
    near = (more - less) ** 2 <= (up_to - less) ** 2 + (more - down_to) ** 2
    return sound and near and found["total"] == expected["total"]


def settle(output, reference):
    """Return `output` with the reference's number wherever its own is near."""
    references = APPROXIMATE.finditer(reference)

    def nearest(match):
        expected = next(references, match)
        return expected[0] if agree(match, expected) else match[0]

    return APPROXIMATE.sub(nearest, output)


def unpadded(text):
    """The text with single spaces, if numbers of varying width may have moved its columns."""
    return re.sub(" +", " ", text) if "≈" in text else text


class Printed(str):
    """An output's text; equal to another if nothing but near numbers differ."""

    __hash__ = str.__hash__

    def __eq__(self, reference):
        return unpadded(settle(self, reference)) == unpadded(str(reference))

    def __ne__(self, reference):
        return not self == reference


def without_plain_twin(output):
    """The output without its plain text, if it has HTML."""
    data = output.get("data", {})
    if "text/html" not in data:
        return output
    kept = {kind: content for kind, content in data.items() if kind != "text/plain"}
    return type(output)(output, data=kept)


@functools.cache
def tolerant(cell_class):
    """Nbval's class of cells, whose texts are compared as `Printed`."""

    class TolerantCell(cell_class):
        def compare_outputs(self, test, ref, skip_compare=None):
            """Whether two lists of outputs say the same."""
            test, ref = ([without_plain_twin(output) for output in outputs]
                         for outputs in (test, ref))
            return super().compare_outputs(test, ref, skip_compare)

        def sanitize(self, output):
            """Return the text to compare."""
            text = super().sanitize(output)
            return Printed(text) if isinstance(text, str) else text

        def format_output_compare(self, key, left, right):
            """Report a difference, leaving out numbers that are near enough."""
            super().format_output_compare(key, str(left), settle(right, left))

    return TolerantCell


# nbval's classes are known here by name: importing them takes seconds, and most runs of pytest
# (each deliberate fault is one) have no notebook.


def pytest_collectstart(collector):
    """Leave stderr out of the comparison."""
    if type(collector).__name__ == "IPyNbFile":
        collector.skip_compare += ("stderr",)


def pytest_itemcollected(item):
    """Have every notebook cell compared with tolerance (nbval has no option for it)."""
    if type(item).__name__ == "IPyNbCell":
        item.__class__ = tolerant(type(item))
