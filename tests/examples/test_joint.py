"""Batches with the marked fields of further batches."""

import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import joint_examples
from tfrec_fusion.examples.epochs import Epochs
from tfrec_fusion.examples.joint import parts_of
from tfrec_fusion.examples.read_ahead import read_ahead


def _counted(count):
    """`count` batches whose value is 10 times the epoch plus the place in it."""
    epochs = Epochs(0)
    of_epoch = epochs.numbers().repeat(count).enumerate()
    fields = of_epoch.map(lambda place, epoch: {"x": 10 * epoch + place})
    return read_ahead(fields, count, epochs)


def _values(dataset, name):
    return [int(batch[name]) for batch in dataset]


def test_an_epoch_is_one_of_the_longest_and_the_others_begin_anew():
    joint = joint_examples(_counted(3), _counted(2), order=_counted(5))
    assert int(joint.cardinality()) == 5
    assert {name: spec.shape.rank for name, spec in joint.element_spec.items()} == {
        "x": 0,
        "search_x": 0,
        "order/x": 0,
    }
    first = list(joint)
    assert [int(batch["order/x"]) for batch in first] == [0, 1, 2, 3, 4]
    # Of 3 and 2 batches, 1 and 2 passes are complete; the next epoch begins with the one after.
    assert [int(batch["x"]) for batch in first] == [0, 1, 2, 10, 11]
    assert [int(batch["search_x"]) for batch in first] == [0, 1, 10, 11, 20]
    second = list(joint)
    assert [int(batch["order/x"]) for batch in second] == [10, 11, 12, 13, 14]
    assert [int(batch["x"]) for batch in second] == [10, 11, 12, 20, 21]
    assert [int(batch["search_x"]) for batch in second] == [20, 21, 30, 31, 40]


def test_an_endless_one_is_no_epoch():
    endless = _counted(2).repeat()
    assert _values(joint_examples(_counted(3), more=endless), "more/x") == [0, 1, 10]
    with pytest.raises(InputError, match=r"all datasets are endless.*interactions, more"):
        joint_examples(endless, more=endless)
    unknown = _counted(2).filter(lambda batch: batch["x"] >= 0)
    with pytest.raises(InputError, match="joint_examples: more: the number of batches is unknown"):
        joint_examples(_counted(2), more=unknown)


def test_what_is_no_dataset_is_named():
    with pytest.raises(InputError, match=r"more: must be a tf.data.Dataset.*Received: list"):
        joint_examples(_counted(2), more=[1, 2])
    with pytest.raises(InputError, match=r"interactions: must be .*Received: NoneType"):
        joint_examples(None, more=_counted(2))


def test_a_batch_is_taken_apart():
    own, marked = parts_of({"user": 1, "a/user": 2, "a/item": 3, "b/user": 4, "search_item": 5})
    assert own == {"user": 1, "search_item": 5}
    assert marked == {"a": {"user": 2, "item": 3}, "b": {"user": 4}}


def test_shapes_stay_known():
    batches = tf.data.Dataset.from_tensors({"user": tf.zeros([4, 2])}).repeat(2)
    spec = joint_examples(batches, more=batches).element_spec
    assert spec["more/user"].shape == [4, 2]
