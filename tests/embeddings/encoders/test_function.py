from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion.embeddings import CallableEncoder
from tfrec_fusion.embeddings.encoders.making import as_encoder
from tfrec_fusion.errors import InputError


def length(texts):
    return [[len(text), 1] for text in texts]


def test_batches_come_longest_first_and_vectors_in_order():
    batches = []

    def remember(texts):
        batches.append(texts)
        return length(texts)

    encoder = CallableEncoder(remember, batch_texts=2)
    np.testing.assert_array_equal(encoder.encode(["a", "ccc", "bb"]), [[1, 1], [3, 1], [2, 1]])
    assert batches == [["ccc", "bb"], ["a"]]
    assert encoder.encode([]).shape == (0, 0)


def test_the_name_is_the_identity():
    assert as_encoder(length).name == f"{__name__}.length"
    assert as_encoder(length).fingerprint == CallableEncoder(length).fingerprint
    assert as_encoder(length).fingerprint != CallableEncoder(length, name="other").fingerprint
    with pytest.raises(InputError, match=r"name: .*this function has none"):
        as_encoder(lambda texts: texts)


def test_an_object_with_encode_is_taken():
    encoder = as_encoder(SimpleNamespace(name="mine", fingerprint="v2", encode=length))
    assert encoder.name == "mine"
    assert encoder.identity()["version"] == "v2"
    np.testing.assert_array_equal(encoder.encode(["abc"]), [[3, 1]])


@pytest.mark.parametrize("other", [SimpleNamespace(encode=length), 3])
def test_others_are_refused(other):
    with pytest.raises(InputError, match="encoder: "):
        as_encoder(other)
