from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrec_fusion.embeddings import TextTemplate
from tfrec_fusion.errors import InputError


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{title}. {text}", {"title": "Emma", "text": "A comedy"}, "Emma. A comedy"),
        ("{title}. {text}", {"title": "Emma", "text": None}, "Emma"),
        ("{title}. {text}", {"title": " ", "text": "A comedy"}, "A comedy"),
        ("{title}. {text}", {"title": float("nan"), "text": pd.NA}, ""),
        ("{title}. {text}.", {"title": "Emma", "text": ""}, "Emma."),
        ("{a} by {b} ({c}). {d}", {"a": "A", "c": 1815.0, "d": "D"}, "A (1815). D"),
        ("{a} by {b} ({c}). {d}", {"a": "A", "b": "B", "d": "D"}, "A by B. D"),
        ("{a} ({b})", {"b": "B"}, "(B)"),
        ("Title: {a}. Author: {b}", {"b": "B"}, "Author: B"),
        ("{a} - {b} - {c}", {"a": "A", "c": "C"}, "A - C"),
        ("{a}, {tags}", {"a": "A", "tags": ["red", None, "tin"]}, "A, red, tin"),
        ("{a}: {price:.2f}", {"a": "A", "price": 3.0}, "A: 3.00"),
        ("{{{a}}} {b!r}", {"a": "{b}", "b": "x"}, "{{b}} 'x'"),
        ("{a}", {"a": "two\n  lines"}, "two lines"),
    ],
)
def test_missing_fields_drop_out(template, values, expected):
    assert TextTemplate(template).of(values) == expected


_WORD = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4)


@given(st.lists(st.one_of(st.none(), _WORD), min_size=1, max_size=5))
def test_what_is_there_is_joined_as_if_nothing_else_had_been_named(values):
    names = [f"f{place}" for place in range(len(values))]
    template = TextTemplate(", ".join(f"{{{name}}}" for name in names))
    expected = ", ".join(value for value in values if value is not None)
    assert template.of(dict(zip(names, values, strict=True))) == expected


@given(st.text(max_size=30), st.text(max_size=30))
def test_values_are_never_read_as_templates(a, b):
    text = TextTemplate("{a} {b}").of({"a": a, "b": b})
    assert text == " ".join([*a.split(), *b.split()])


def test_a_frame_gives_one_text_a_row():
    frame = pd.DataFrame({"title": ["A", None], "year": [2008, None]})
    texts = TextTemplate("{title} ({year})").texts(frame)
    assert texts.tolist() == ["A (2008)", ""]
    with pytest.raises(InputError, match="the items have no column 'name'"):
        TextTemplate("{title} {name}").texts(frame)


@pytest.mark.parametrize("template", ["", "no field", "{}", "{0}", "{a", "{a.b}"])
def test_wrong_templates(template):
    with pytest.raises(InputError, match="template: "):
        TextTemplate(template)


def test_profiles_have_the_latest_items_first():
    frame = pd.DataFrame({"title": ["cup", "pot", "", "jug"]})
    # User 0 bought cup, pot, the item without a title, jug; user 1 nothing; user 2 an unknown item.
    history = SimpleNamespace(splits=np.array([0, 4, 4, 5]), items=np.array([0, 1, 2, 3, -1]))
    template = TextTemplate("{title}")
    assert template.profiles(frame, history).tolist() == ["jug; pot; cup", "", ""]
    assert template.profiles(frame, history, last=2, separator=", ").tolist() == ["jug", "", ""]
    with pytest.raises(InputError, match="last: must be at least 1"):
        template.profiles(frame, history, last=0)
