"""A loaded version of a model."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from google.protobuf import descriptor_pool, message_factory

from tfrec_fusion._compat import tf
from tfrec_fusion.config import read_json
from tfrec_fusion.deploy import warmup
from tfrec_fusion.deploy.status import StatusError, invalid
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.request_times import TIME_KINDS, RequestTimes
from tfrec_fusion.signature import Signature

DEFAULT_SIGNATURE = "serving_default"
_TAG, _K = "serve", "k"
_ASSETS = {"users": "assets/users.txt", "items": "assets/items.txt"}
# Size of the cache of callables: requests may ask for any subset of outputs, in any order.
_MOST_CALLS = 64
# Start of what Python appends to an error of the graph.
_TRACE = "\n\nOriginal stack trace"
# Start of the list of nodes at which the error occurred.
_WHERE = "\n\t [["
_ROOT_ERRORS = re.compile(r"\A\d+ root error\(s\) found\.\s+\(0\) (?:\w+: )?")
_NODES = re.compile(r"\{\{[^{}]*\}\} ?| \([^\s()]*:\d+\)")


class SignatureSlots:
    """The inputs and outputs of one signature, name -> `TensorSlot`.

    Attributes:
      described: the model card's description of the signature, or None.
      defaults: name -> array of the inputs that a gRPC request may leave out.
      items: size of the catalogue if the model card describes the signature, else None. All inputs
        of such a signature must have the same batch size.
      times: which times its inputs may give; None without a model card.
    """

    def __init__(
        self,
        definition,
        described: Signature | None = None,
        items: int | None = None,
        times: RequestTimes | None = None,
    ):
        self.described, self.items, self.times = described, items, times
        self.defaults = {k: tf.make_ndarray(v) for k, v in definition.defaults.items()}
        self.inputs = {k: TensorSlot.of_info(v) for k, v in sorted(definition.inputs.items())}
        self.outputs = {k: TensorSlot.of_info(v) for k, v in sorted(definition.outputs.items())}

    @property
    def counts(self) -> set[str]:
        """The inputs that set the number of items: `k`, and those whose kind is "count"."""
        kinds = self.described.kinds if self.described else {}
        return {name for name in self.inputs if name == _K or kinds.get(name) == "count"}

    def check_times(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Raises StatusError INVALID_ARGUMENT for times in another unit than seconds."""
        if self.described is None or self.times is None:
            return
        for name, kind in self.described.kinds.items():
            problem = self.times.problem(kind, inputs[name]) if kind in TIME_KINDS else None
            if problem is not None:
                raise invalid(f"{name} {problem}")


class Servable:
    """A SavedModel in its own session, as in TF Serving; thread-safe and reference-counted.

    Args:
      name, version: its name and version in requests.
      path: the version's folder.

    Raises:
      StatusError: it cannot be loaded, is incomplete, or a warm-up request fails.

    Example:
      >>> servable = Servable("shop", 1, Path("saved_models/shop/1"))
      >>> servable.run("item_vector", {"item_id": np.array([b"i3"], object)})
      {'vector': array([[...]], dtype=float32)}
    """

    def __init__(self, name: str, version: int, path: Path):
        self.name, self.version, self.path = name, version, path
        self._lock, self._users, self._retired = threading.Lock(), 0, False
        self._closed = threading.Event()
        card = check_whole(path)
        self._session, graph = _load(path)
        self.definitions = dict(graph.signature_def)
        described, items = Signature.from_card(card), card.get("data", {}).get("items")
        times = RequestTimes.of_card(card) if card else None
        self.signatures = {
            name: SignatureSlots(
                definition, described.get(name), items if name in described else None, times
            )
            for name, definition in self.definitions.items()
        }
        # Cache callables: `Session.run` would parse feeds and fetches at each call.
        make = functools.partial(_make_call, self._session)
        self._call_of = functools.lru_cache(_MOST_CALLS)(make)
        try:
            self._warm_up()
        except BaseException:
            self._session.close()
            raise

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """Runs a signature; returns output name -> array.

        Args:
          inputs: name -> array for each input; strings as `object` arrays of bytes.
          outputs: names of the outputs to return; all by default.

        Raises:
          StatusError: the graph fails on these inputs.
        """
        slots = self.signatures[signature]
        names = tuple(outputs) or tuple(slots.outputs)
        feeds = {slot.tensor: inputs[name] for name, slot in slots.inputs.items()}
        call, fetched = self._call_of(
            tuple(feeds), tuple(slots.outputs[name].tensor for name in names)
        )
        try:
            values = feeds | dict(zip(fetched, call(*feeds.values()), strict=True))
        except tf.errors.OpError as error:
            raise StatusError.of_number(error.error_code, _of_graph(error.message)) from None
        except (TypeError, ValueError) as error:
            raise invalid(str(error)) from None
        return {name: _array(values[slots.outputs[name].tensor]) for name in names}

    def acquire(self) -> bool:
        """Takes a reference for a request; False if the version is retired."""
        with self._lock:
            if not self._retired:
                self._users += 1
            return not self._retired

    def hold(self) -> None:
        """Takes another reference; the caller must already have one."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """Drops a reference; frees a retired version after the last one."""
        with self._lock:
            self._users -= 1
            last = self._retired and not self._users
        if last:
            self._close()

    def retire(self) -> None:
        """Accepts no more requests, and frees the memory after the last running one."""
        with self._lock:
            already, self._retired = self._retired, True
            last = not self._users
        if last and not already:
            self._close()

    @property
    def closed(self) -> bool:
        """Whether the version is retired and its last request has ended."""
        return self._closed.is_set()

    def _close(self) -> None:
        self._session.close()
        self._closed.set()

    def _warm_up(self) -> None:
        if not (self.path / warmup.FILE).exists():
            return
        try:
            warmup.check_warmup(self.path)
            for signature, inputs in warmup.iterate_warmup(self.path):
                self.run(signature or DEFAULT_SIGNATURE, inputs)
        except (StatusError, ValueError, tf.errors.OpError) as error:
            raise StatusError("INVALID_ARGUMENT", f"warm-up: {error}") from None


def _of_graph(message: str) -> str:
    """The graph's first error message, without names of nodes and tensors."""
    found = message.partition(_TRACE)[0].partition(_WHERE)[0]
    return _NODES.sub("", _ROOT_ERRORS.sub("", found)).strip()


def check_whole(path: Path) -> dict:
    """Checks that an export is complete; returns its model card, {} if it has none.

    A truncated lookup table loads without an error but gives wrong answers, so its length is
    compared with the card's. Versions without a card are not checked.

    Raises:
      StatusError: DATA_LOSS; the card is unreadable, or a table has another length than it says.
    """
    card = path / CARD
    if not card.is_file():
        return {}
    try:
        found = read_json(card, "export")
        counts = dict(found.get("data", {}))
    except (OSError, ValueError, TypeError, AttributeError):
        raise StatusError("DATA_LOSS", f"{card} cannot be read") from None
    for what, name in _ASSETS.items():
        asset = path / name
        if not asset.is_file() or what not in counts:
            continue
        lines = _lines(asset)
        if lines != counts[what]:
            raise StatusError("DATA_LOSS", f"{asset} has {lines} lines; {counts[what]} expected")
    return found


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _load(path: Path):
    """Loads a SavedModel into a new session; returns the session and its `MetaGraphDef`."""
    graph = tf.Graph()
    session = tf.compat.v1.Session(graph=graph)
    try:
        with graph.as_default():
            return session, tf.compat.v1.saved_model.load(session, [_TAG], str(path))
    except tf.errors.OpError as error:
        session.close()
        raise StatusError.of_number(error.error_code, error.message.partition(_TRACE)[0]) from None
    except Exception as error:
        # Corrupt files can fail anywhere in the loader, with any error.
        session.close()
        raise StatusError("INTERNAL", f"{path}: {type(error).__name__}: {error}") from None


def _make_call(session, fed: tuple[str, ...], wanted: tuple[str, ...]):
    """A callable from fed to fetched values, and the names of the fetched tensors."""
    fetched = [name for name in dict.fromkeys(wanted) if name not in fed]
    kind = descriptor_pool.Default().FindMessageTypeByName("tensorflow.CallableOptions")
    options = message_factory.GetMessageClass(kind)(feed=fed, fetch=fetched)
    # The public `make_callable` would still go through `Session.run`.
    return session._make_callable_from_options(options), fetched


def _array(value) -> np.ndarray:
    """Wraps scalar strings, which the session returns without an array."""
    return value if isinstance(value, np.ndarray) else np.asarray(value, _scalar_type(value))


def _scalar_type(value):
    return object if isinstance(value, bytes) else None
