import io

from rich.console import Console

from tfrec_fusion.embeddings.progress import EncodingProgress


def test_lines_come_now_and_then_and_time_left_follows_the_characters():
    console = Console(file=io.StringIO(), width=200)
    times = iter([0.0, 4.0, 10.0, 12.0])
    with EncodingProgress(40, 1000, console, every=10, clock=lambda: next(times)) as progress:
        progress.advance(4, 300)  # after 4 s: no line yet
        progress.advance(6, 200)  # after 10 s: 10 texts, half of the characters, 10 s left
        progress.advance(30, 500)  # the end is always told
    assert console.file.getvalue().splitlines() == [
        "encoded 10 of 40 texts, 1 texts/s, 0:00:10 left",
        "encoded 40 of 40 texts, 3 texts/s, 0:00:00 left",
    ]


def test_a_terminal_gets_a_bar():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with EncodingProgress(2, 10, console) as progress:
        progress.advance(2, 10)
    assert "2/2" in console.file.getvalue()


def test_nothing_where_nothing_is_wanted():
    with EncodingProgress(1, 1, console=False) as progress:
        progress.advance(1, 1)
    assert progress.console is None
