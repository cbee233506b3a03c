"""Times in requests are unix seconds."""

import numpy as np
import pytest

from tfrec_fusion.export.request_times import RequestTimes
from tfrec_fusion.features import Category, Number, Time
from tfrec_fusion.features.request_encoder import request_inputs
from tfrec_fusion.features.side import Side
from tfrec_fusion.signature import Signature, card_entries

NOW = {"data": {"as_of": "2024-05-31T00:00:00+00:00"}}


@pytest.mark.parametrize(
    ("kind", "value", "says"),
    [
        ("time", 1.7e9, None),
        ("time", np.nan, None),
        ("time", 1.7e12, "these are milliseconds: divide by 1000"),
        ("time", 1.7e15, "these are microseconds: divide by 1000000"),
        ("time", 2024.0, "this looks like a year"),
        ("time", 19_675.0, "these are days: multiply by 86400"),
        ("time", 0.0, "must be unix seconds from 1990-01-01"),
        ("time", np.inf, "must be unix seconds from 1990-01-01"),
        ("date", -1e9, None),  # a birthday in 1938
        ("date", 1.7e12, "must be unix seconds from"),
    ],
)
def test_units_are_found(kind, value, says):
    problem = RequestTimes.of_card(NOW).problem(kind, np.array([1.7e9, np.nan, value]))
    assert problem is None if says is None else says in problem
    assert problem is None or problem.endswith(f"Received: {value:g}")


def test_versions_that_do_not_count_seconds_take_any_time():
    days = RequestTimes.of_card({"data": {"as_of": "1970-01-01T05:27:55+00:00"}})
    assert days.problem("time", np.array([19_675.0])) is None
    unknown = RequestTimes.of_card({"data": {"as_of": None}})
    assert unknown.problem("time", np.array([19_675.0])) is not None


def test_the_card_tells_which_inputs_are_times():
    features = (Time(column="timestamp"), Time(column="born"), Number(column="age"))
    side = Side(table="interactions", features=(*features, Category(column="device")))
    inputs = request_inputs(side, renamed={"timestamp": "time"})
    card = card_entries([Signature("recommend", "", inputs, ())])
    kinds = Signature.from_card(card)["recommend"].kinds
    assert kinds == {"time": "time", "born": "date"}
