import numpy as np
import pytest

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.batching.merging import merge, rows_of, split


def texts(*rows):
    return np.array([[item.encode() for item in row] for row in rows], object)


def test_rows_are_joined_and_filled_up():
    """To 4 rows: the one of the first, both of the second, and the second's first again."""
    merged = merge([{"k": np.array([3])}, {"k": np.array([5, 7])}], 4, pad=True)
    assert merged["k"].tolist() == [3, 5, 7, 5]


def test_narrower_lists_get_the_first_value_of_their_request():
    merged = merge(
        [{"h": texts("ab", "cd")}, {"h": texts("xyz")}],
        3,
        pad=True,
    )
    assert merged["h"].tolist() == texts("aba", "cda", "xyz").tolist()


def test_all_widths_at_once():
    merged = merge([{"h": np.ones((1, 1, 3))}, {"h": np.zeros((1, 2, 1))}], 2, pad=True)
    assert merged["h"].tolist() == [[[1] * 3] * 2, [[0] * 3] * 2]


@pytest.mark.parametrize(
    ("pad", "other", "code", "says"),
    [
        (False, texts("ab"), "FAILED_PRECONDITION", "Tensors with name 'h' from different tasks"),
        (True, np.empty((1, 0), object), "INVALID_ARGUMENT", "Got empty tensor in batch of"),
    ],
)
def test_what_cannot_be_merged(pad, other, code, says):
    with pytest.raises(StatusError, match=says) as caught:
        merge([{"h": texts("abc")}, {"h": other}], 2, pad)
    assert caught.value.code == code


def test_empty_lists_among_themselves():
    nothing = np.empty((1, 0), object)
    assert merge([{"h": nothing}, {"h": nothing}], 3, pad=True)["h"].shape == (3, 0)


def test_answers_are_cut_apart():
    found = split({"y": np.array([1, 2, 3, 3])}, [1, 2], 4)
    assert [answer["y"].tolist() for answer in found] == [[1], [2, 3]]


@pytest.mark.parametrize("outputs", [{"y": np.array(1)}, {"y": np.zeros(3)}])
def test_answers_without_the_batch(outputs):
    with pytest.raises(StatusError, match="0") as caught:
        split(outputs, [1, 1], 2)
    assert caught.value.code == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"x": np.array(1)}, "input x must have at least one dimension"),
        (
            {"x": np.zeros(1), "y": np.zeros(2)},
            "input y must have the batch size of x, 1. Received: 2",
        ),
    ],
)
def test_rows_of_a_request(inputs, says):
    assert rows_of({"x": np.zeros((2, 3)), "y": np.zeros(2)}) == 2
    with pytest.raises(StatusError, match=says):
        rows_of(inputs)
