import io

import pytest
from rich.console import Console

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import compare


def lines_of(table, **options):
    buffer = io.StringIO()
    Console(file=buffer, width=200, **options).print(table)
    return [" ".join(x.replace("│", " ").split()) for x in buffer.getvalue().splitlines()]


def test_one_row_a_model(report_of):
    lines = lines_of(compare([report_of("popularity", 0.125), report_of("fused", 0.25)]))
    assert lines[0] == "temporal split, 4 users, 1,234 targets"
    assert "popularity 0.1250 0.5000 0.7500 0.1250 0.0625" in lines
    assert "fused 0.2500 0.5000 0.7500 0.1250 0.0625" in lines


def test_slices_without_users_have_no_column(report_of):
    heading = " ".join(lines_of(compare([report_of()])))
    assert "coverage@10" in heading
    assert "cold" not in heading


def test_the_best_of_a_column_is_bold(report_of):
    lines = lines_of(
        compare([report_of("a", 0.125), report_of("b", 0.25)]),
        force_terminal=True,
        color_system="standard",
    )
    (a,) = [line for line in lines if line.startswith("a ")]
    (b,) = [line for line in lines if line.startswith("b ")]
    assert "\x1b[1m0.2500" in b
    assert "\x1b[1m0.1250" not in a.split("0.5000")[0]


def test_bad_input(report_of):
    with pytest.raises(InputError, match="at least one"):
        compare([])
    with pytest.raises(InputError, match="same split and k"):
        compare([report_of(), report_of("other", split="random")])
    with pytest.raises(InputError, match="same split and k"):
        compare([report_of(), report_of("other", users=5)])
