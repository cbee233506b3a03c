"""Rates of labels in the examples of rankers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.examples.rates_as_of import RatesAsOf
from tfrec_fusion.features.label_rates import LabelRates
from tfrec_fusion.features.state import State
from tfrec_fusion.models import Ranker
from tfrec_fusion.times import DAY

ITEMS = Catalogue(pd.DataFrame({"item_id": list("abcd")}))
# user, item, label, day
LOG = [("u", "a", 1, 1), ("u", "b", 0, 2), ("v", "a", 0, 2), ("v", "c", 1, 5), ("u", "c", 1, 8)]
MEAN = 3 / 5


def _events(rows=LOG, times=True):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "label", "timestamp"])
    frame["timestamp"] *= DAY
    return Interactions.from_frame(frame if times else frame.drop(columns="timestamp"), ITEMS)


def _pair(positives, count, mean=MEAN):
    return [(positives + 5 * mean) / (count + 5), np.log(1 + count)]


def _rows(batches):
    found = list(batches.as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in found]) for name in found[0]}


def test_tables_by_hand():
    users, items = State.of(_events()).label_rates()
    np.testing.assert_allclose(users, [_pair(2, 3), _pair(1, 2), _pair(0, 0)], rtol=1e-6)
    expected = [_pair(1, 2), _pair(0, 1), _pair(2, 2), _pair(0, 0), _pair(0, 0)]
    np.testing.assert_allclose(items, expected, rtol=1e-6)
    cut, same = State.of(_events()).cut(0).label_rates()
    np.testing.assert_allclose(cut, [_pair(0, 0)] * 3, rtol=1e-6)
    np.testing.assert_array_equal(same, items)
    before, _ = State.of(_events(), at=5 * DAY).label_rates()
    mean = 1 / 3
    np.testing.assert_allclose(before[:2], [_pair(1, 2, mean), _pair(0, 1, mean)], rtol=1e-6)


def test_test_rows_see_what_was_before_the_cut():
    # At day 5 the events of day 5 and later are not known yet.
    test = _events([("u", "d", 1, 9), ("v", "a", 0, 9)])
    rows = _rows(
        ranking_examples(
            test, 4, known=_events(), at=5 * DAY, negatives=0, label_rates=True, shuffle=False
        )
    )
    expected = [_pair(1, 2) + _pair(0, 0), _pair(0, 1) + _pair(1, 2)]
    np.testing.assert_allclose(rows["label_rates"], expected, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_as_of_cuts_as_counted_by_hand(data):
    draw = data.draw
    n = draw(st.integers(2, 25))
    rows = [
        (draw(st.sampled_from("uvw")), draw(st.sampled_from("abcd")), int(i > 0 and i % 2), day)
        for i, day in enumerate(draw(st.lists(st.integers(1, 20), min_size=n, max_size=n)))
    ]
    events = _events(rows)
    if not (events.label > 0).any():
        return
    rates = LabelRates.of(events)
    cuts = np.unique(draw(st.lists(st.integers(0, 22), min_size=1, max_size=5))) * DAY
    users, items = np.meshgrid(range(len(events.users)), range(4), indexing="ij")
    users, items = (one.ravel().astype(np.int32) for one in (users, items))
    of = RatesAsOf(rates, cuts, of_others=True)
    for place, cut in enumerate(cuts):
        found = of(users, items, items[:, None], np.full(len(users), place, np.int32))[:, 0]
        early = rates.event_times < cut
        for row, (user, item) in enumerate(zip(users, items, strict=True)):
            expected = []
            for known in (rates.user == user, rates.item == item):
                chosen = early & known
                expected += _pair(rates.positive[chosen].sum(), chosen.sum(), rates.mean)
            np.testing.assert_allclose(found[row], expected, atol=2e-3)


def test_a_row_without_times_does_not_see_its_own_label():
    # The only event of its user and its item: nothing is left without it.
    rows = [("u", "a", 1, 1), ("v", "b", 0, 1), ("w", "b", 1, 1)]
    found = _rows(ranking_examples(_events(rows, times=False), 4, label_rates=True, shuffle=False))
    np.testing.assert_allclose(found["label_rates"][0], _pair(0, 0, 2 / 3) * 2, rtol=1e-6)


def test_other_folds_alone_are_counted_without_times():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user_id": [f"u{i}" for i in range(400)], "item_id": "a"})
    frame["label"] = rng.integers(0, 2, 400)
    events = Interactions.from_frame(frame, ITEMS)
    found = _rows(ranking_examples(events, 512, label_rates=True, shuffle=False))
    rate, counts = found["label_rates"][:, 2], np.expm1(found["label_rates"][:, 3])
    assert ((counts > 300) & (counts < 340)).all()  # about four fifths
    assert abs(np.corrcoef(rate, found["label"])[0, 1]) < 0.2


def test_lists_have_the_rates_of_each_item():
    found = _rows(ranking_examples(_events(), 8, negatives=2, label_rates=True))
    assert found["label_rates"].shape == (*found["item"].shape, 4)
    assert (found["label_rates"][..., :2] == found["label_rates"][:, :1, :2]).all()


def test_what_has_no_impressions_is_one_line():
    liked = _events([("u", "a", 1, 1), ("v", "b", 1, 2)])
    for make in (
        lambda: ranking_examples(liked, label_rates=True),
        lambda: Ranker(liked, label_rates=True, dim=2),
        lambda: Ranker(_events(), label_rates=True, dim=2).scorer(State.of(liked)),
    ):
        with pytest.raises(InputError, match=r"label of 0 or less.*Received: 2 positives"):
            make()
    with pytest.raises(InputError, match=r"ranking_examples\(events, label_rates=True\)"):
        model = Ranker(_events(), label_rates=True, dim=2)
        model.compile()
        model.fit(ranking_examples(_events(), 2), verbose=0)
