"""Counts and means that another picture, seed or processor would change."""

import re

import numpy as np
import pytest

from techniques.intervals import averaged, counted, within


def ends(text):
    return [float(end) for end in re.search(r"\[(.*), (.*)\]", text).groups()]


@pytest.mark.parametrize(("hits", "total", "text"), [
    (8, 16, "≈ 8 of 16 [4, 12]"),  # by hand: (8 + 1.92 ± 1.96 √(16 / 4 + 0.96)) / (16 + 3.84) · 16
    (0, 8, "≈ 0 of 8 [0, 3]"),
    (8, 8, "≈ 8 of 8 [5, 8]"),
    (1, 1, "≈ 1 of 1 [0, 1]"),
])
def test_counts_stand_in_wilsons_interval(hits, total, text):
    assert counted(hits, total) == text
    assert counted([True] * hits + [False] * (total - hits)) == text


def test_a_counts_interval_holds_the_true_rate():
    rng = np.random.default_rng(0)
    drawn = rng.binomial(20, 0.3, 400)
    intervals = [ends(counted(int(hits), 20)) for hits in drawn]
    assert np.mean([low <= 0.3 * 20 <= high for low, high in intervals]) >= 0.95


@pytest.mark.parametrize(("hits", "total"), [(9, 8), (-1, 8), (0, 0), (2.5, 8), ([], None)])
def test_what_is_no_count_is_said(hits, total):
    with pytest.raises(ValueError, match="is no count: give one hit or miss for each case"):
        counted(hits, total)


def test_a_mean_stands_in_its_bootstrap_interval():
    rng = np.random.default_rng(1)
    samples = rng.normal(3.0, 1.0, (300, 12))
    intervals = [ends(averaged(sample, 3)) for sample in samples]
    assert 0.85 <= np.mean([low <= 3.0 <= high for low, high in intervals]) <= 0.98
    assert averaged([1, 1, 1], 1) == "≈ 1.0 [1.0, 1.0]"
    assert averaged([0.0, 1.0]) == averaged([0.0, 1.0]) == "≈ 0.50 [0.00, 1.00]"


@pytest.mark.parametrize("values", [[], [1.0], [1.0, np.nan], [[1.0, 2.0], [3.0, 4.0]]])
def test_a_mean_of_nothing_is_said(values):
    with pytest.raises(ValueError, match="two or more finite values, one for each picture"):
        averaged(values)


def test_a_single_climbs_number_stands_in_its_bounds():
    assert within(0.5, 0.45, 0.55) == "≈ 0.50 [0.45, 0.55]"
    assert within(1234.4, 617.2, 2468.8, 0) == "≈ 1,234 [617, 2,469]"
    assert within(-0.001, -0.05, 0.05) == "≈ 0.00 [-0.05, 0.05]"
