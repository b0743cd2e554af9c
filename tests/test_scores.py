"""What explanations are worth: every score against an independent computation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from techniques.descriptions import scores

PLACES, EXPLANATIONS, FILTERS = 240, 3, 5


@pytest.fixture(scope="module")
def given():
    """Three predictions and five filters' answers at 24 × 10 places."""
    rng = np.random.default_rng(0)
    answers = rng.normal(size=(PLACES, FILTERS)) * [1, 2, 5, 0.1, 30] + [0, 100, -3, 2, 1]
    predicted = answers[:, [3, 0, 2]] / [0.1, 1, 5] + rng.normal(0, [0.5, 1, 2], (PLACES, 3))
    return predicted, answers, np.repeat(np.arange(24), 10)


def by_corrcoef(predicted, answers):
    return np.array([[np.corrcoef(p, a)[0, 1] for a in answers.T] for p in predicted.T])


def test_correlations_are_pearsons(given):
    predicted, answers, _ = given
    found = scores.correlations(predicted, answers)
    assert found.shape == (EXPLANATIONS, FILTERS)
    np.testing.assert_allclose(found, by_corrcoef(predicted, answers), atol=1e-12)


@pytest.mark.parametrize("scale, level", [(1e-9, 0), (1e9, 0), (1, 1e4)])
def test_correlations_know_no_unit(given, scale, level):
    predicted, answers, _ = given
    np.testing.assert_allclose(scores.correlations(predicted * scale + level, answers),
                               by_corrcoef(predicted, answers), atol=1e-9)
    np.testing.assert_allclose(scores.correlations(predicted, answers * scale + level),
                               by_corrcoef(predicted, answers), atol=1e-9)


def test_what_is_constant_predicts_nothing(given):
    predicted, answers, pictures = (a.copy() for a in given)
    predicted[:, 1], answers[:, 4] = 0.1, 1 / 3
    for kind in ("float64", "float32"):
        found = scores.correlations_and_samples(predicted.astype(kind), answers.astype(kind),
                                                pictures, draws=5)
        assert (found[:, 1] == 0).all() and (found[:, :, 4] == 0).all()
        assert (found[:, [0, 2], :4] != 0).all()


def test_the_first_sample_is_all_pictures(given):
    predicted, answers, pictures = given
    found = scores.correlations_and_samples(*given, draws=7)
    assert found.shape == (8, EXPLANATIONS, FILTERS)
    np.testing.assert_allclose(found[0], scores.correlations(predicted, answers), atol=1e-12)
    # places of a picture need not stand together, nor pictures be numbered from 0
    order = np.random.default_rng(1).permutation(PLACES)
    again = scores.correlations_and_samples(predicted[order], answers[order],
                                            7 + 3 * pictures[order], draws=7)
    np.testing.assert_allclose(again, found, atol=1e-12)


@pytest.mark.parametrize("each", [1, 10])
def test_samples_draw_whole_pictures(given, each):
    predicted, answers, _ = given
    pictures = np.arange(PLACES) // each
    found = scores.correlations_and_samples(predicted, answers, pictures, draws=6, seed=3)
    times = scores.resampled(PLACES // each, draws=6, seed=3)
    assert times.shape == (6, PLACES // each) and (times.sum(1) == PLACES // each).all()
    assert (times > 1).any()
    for one, drawn in zip(found[1:], times, strict=True):
        places = np.concatenate([np.flatnonzero(pictures == picture)
                                 for picture, count in enumerate(drawn) for _ in range(count)])
        np.testing.assert_allclose(one, by_corrcoef(predicted[places], answers[places]),
                                   atol=1e-10)


def test_seeds(given):
    one, other, third = (scores.correlations_and_samples(*given, draws=3, seed=s)
                         for s in (5, 5, 6))
    np.testing.assert_array_equal(one, other)
    assert (one[1:] != third[1:]).any() and (one[0] == third[0]).all()


def test_identification_counts_filters_not_explanations():
    r = np.array([[0.1, 0.9, 0.5, 0.3],   # about filter 2: one fits better
                  [0.2, 0.1, 0.8, 0.7]])  # about filter 0: two fit better
    assert scores.identification(r, [2, 0]).tolist() == [2, 3]
    assert scores.identification(r, np.array([1, 2])).tolist() == [1, 1]
    asymmetric = np.array([[0.5, 0.6, 0.7], [0.4, 0.9, 0.1], [0.3, 0.2, 0.6]])
    assert scores.identification(asymmetric, [0, 1, 2]).tolist() == [3, 1, 1]  # columns: 1, 1, 2
    samples = np.stack([asymmetric, -asymmetric])
    assert scores.identification(samples, [0, 1, 2]).tolist() == [[3, 1, 1], [1, 3, 3]]


def test_ties_are_no_success():
    assert scores.identification(np.zeros((1, 20)), [4]).tolist() == [20]  # it predicts nothing
    assert scores.identification(np.array([[0.5, 0.5, 0.1]]), [0]).tolist() == [2]


def test_the_table_of_scores(given):
    predicted, answers, pictures = given
    filters = np.array([3, 0, 2])
    table = scores.score_table(predicted, answers, pictures, filters, draws=50, seed=2)
    assert table["filter"].tolist() == [3, 0, 2]
    sampled = scores.correlations_and_samples(*given, draws=50, seed=2)
    for i, f in enumerate(filters):
        row, own = table.iloc[i], answers[:, f]
        assert row["r"] == pytest.approx(np.corrcoef(predicted[:, i], own)[0, 1])
        assert row["rank_r"] == pytest.approx(stats.spearmanr(predicted[:, i], own)[0])
        strongest = np.isin(np.arange(PLACES), np.argsort(own)[-12:])  # 5 % of 240
        assert row["precision"] == pytest.approx(
            average_precision_score(strongest, predicted[:, i]))
        r = [np.corrcoef(predicted[:, i], a)[0, 1] for a in answers.T]
        assert row["rank"] == 1 + sum(other > r[f] for other in r)
        assert row["first_5"] == (row["rank"] == 1)
        low, high = np.quantile(sampled[1:, i, f], [0.05, 0.95])
        assert (row["r_low"], row["r_high"]) == pytest.approx((low, high))
        ranks = 1 + (sampled[1:, i] > sampled[1:, i, [f]]).sum(1)
        assert (row["rank_low"], row["rank_high"]) == pytest.approx(
            tuple(np.quantile(ranks, [0.05, 0.95])))
    assert table["rank"].tolist() == [1, 1, 1] and (table["precision"] > 0.1).all()
    swapped = scores.score_table(predicted, answers, pictures, np.array([0, 1, 4]), draws=5)
    assert (swapped["rank"] > 1).all() and not swapped["first_5"].any()


def test_a_silent_filter_has_scores_too(given):
    predicted, answers, pictures = (a.copy() for a in given)
    answers[:, 3], predicted[:, 1] = 0, 0
    table = scores.score_table(predicted, answers, pictures, np.array([3, 0, 2]), draws=5)
    assert table["r"].tolist()[:2] == [0, 0] and table["rank_r"].tolist()[:2] == [0, 0]
    assert np.isnan(table["precision"][0])  # no place is strong
    assert table["precision"][1] == pytest.approx(0.05)  # by chance
    assert table["rank"].tolist()[1] == FILTERS


def test_places_by_chance():
    rng = np.random.default_rng(0)
    predicted, answers = rng.normal(size=(2, 2000, 64))
    table = scores.score_table(predicted, answers, np.repeat(np.arange(40), 50), np.arange(64),
                               draws=2)
    assert table["rank"].mean() == pytest.approx(32.5, abs=8)
    assert table["precision"].mean() == pytest.approx(0.05, abs=0.01)
    assert abs(table["r"].mean()) < 0.01


@pytest.mark.parametrize("filters, last", [(5, 1), (19, 1), (20, 1), (40, 2), (59, 2), (256, 12)])
def test_within_the_first_5_percent(filters, last):
    found = scores.within_first(np.arange(1, filters + 1), filters)
    assert found.tolist() == [rank <= last for rank in range(1, filters + 1)]
