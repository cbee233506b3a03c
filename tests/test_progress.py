import io

import pytest
from rich.console import Console

from tfrec_fusion.progress import WorkProgress


def _lines(times, total, advance, **options):
    console = Console(file=io.StringIO(), width=200)
    clock = iter(times).__next__
    with WorkProgress("encoded", total, "texts", console=console, clock=clock, **options) as shown:
        advance(shown)
    return console.file.getvalue().splitlines()


def test_lines_come_now_and_then_and_at_the_end():
    def advance(progress):
        for place in range(4):
            progress.advance(state=f"part {place + 1}")

    # After 35 s two are done, so as many take 35 s more.
    assert _lines([0.0, 10.0, 35.0, 40.0, 80.0], 4, advance) == [
        "encoded 2 of 4 texts, 0:00:35 left, part 2",
        "encoded 4 of 4 texts, 0:00:00 left, part 4",
    ]


def test_the_time_left_follows_the_share():
    def advance(progress):
        progress.advance(4, share=0.3)  # after 4 s: no line yet
        progress.advance(6, share=0.5)  # after 10 s: 10 texts, half of the work, 10 s left
        progress.advance(30, share=1.0)

    assert _lines([0.0, 4.0, 10.0, 12.0], 40, advance, every=10) == [
        "encoded 10 of 40 texts, 1 texts/s, 0:00:10 left",
        "encoded 40 of 40 texts, 3 texts/s, 0:00:00 left",
    ]


def test_what_was_done_before_does_not_count_in_the_pace():
    def advance(progress):
        for _ in range(4):
            progress.advance(40)

    # 120 texts in 40 seconds, 3 a second, leave 260 for 87.
    assert _lines([0.0, 10.0, 20.0, 40.0, 50.0], 400, advance, done=20) == [
        "encoded 140 of 400 texts, 3 texts/s, 0:01:27 left"
    ]


@pytest.mark.parametrize("seconds", [1.0, 29.0])
def test_short_work_is_not_told(seconds):
    assert _lines([0.0, seconds], 1, lambda one: one.advance(), tell_end=False) == []


def test_a_terminal_gets_a_bar():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with WorkProgress("encoded", 2, "texts", console=console) as progress:
        progress.advance(2)
    assert "2/2" in console.file.getvalue()


def test_nothing_where_nothing_is_wanted():
    with WorkProgress("encoded", 1, "texts", console=False) as progress:
        progress.advance()
    assert progress.console is None
