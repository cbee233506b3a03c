"""Builds and parses TF Serving's configuration messages, with errors that name the field.

The wheel of `tensorflow-serving-api` has `ModelServerConfig` but neither `BatchingParameters` nor
`MonitoringConfig`. This module defines these two, in a separate descriptor pool, by the field
numbers and types of their public definitions
(tensorflow_serving/servables/tensorflow/session_bundle_config.proto and
tensorflow_serving/config/monitoring_config.proto).
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
    wrappers_pb2,
)
from google.protobuf.message import Message

from tfrec_fusion._compat import optional
from tfrec_fusion.errors import InputError

EXTRA = "serving"
_PACKAGE = "tensorflow.serving"
_WRAPPERS = "google/protobuf/wrappers.proto"
_TYPES = descriptor_pb2.FieldDescriptorProto

# message -> field -> (number, type); a type is a scalar, a wrapper or another message here
_FIELDS = {
    "BatchingParameters": {
        "max_batch_size": (1, "Int64Value"),
        "batch_timeout_micros": (2, "Int64Value"),
        "max_enqueued_batches": (3, "Int64Value"),
        "num_batch_threads": (4, "Int64Value"),
        "thread_pool_name": (5, "StringValue"),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
        "enable_large_batch_splitting": (8, "BoolValue"),
        "max_execution_batch_size": (9, "Int64Value"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, "PrometheusConfig")},
}


def present() -> bool:
    """Whether the extra `serving` is installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def message(name: str) -> type[Message]:
    """The class of a configuration message, e.g. "BatchingParameters" or "ModelServerConfig".

    Raises:
      ImportError: the extra `serving` is not installed.
    """
    if name in _FIELDS:
        descriptor = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
        return message_factory.GetMessageClass(descriptor)
    return getattr(optional("tensorflow_serving.config.model_server_config_pb2", EXTRA), name)


def build(name: str, fields: Mapping, file: str) -> Any:
    """Builds a message from nested dicts and lists; typed `Any`, as its fields are dynamic.

    Raises:
      InputError: the message has no such field or does not accept the value; names `file`.
    """
    try:
        return json_format.ParseDict(dict(fields), message(name)())
    except json_format.ParseError as error:
        raise InputError(f"{file}: {_line(error)}. Received: {dict(fields)}") from None


def parse(name: str, text: str, file: str) -> Any:
    """Parses a message's text format, as TF Serving reads it; typed `Any`.

    Raises:
      InputError: the message has no such field or does not accept the value; names `file`.
    """
    try:
        return text_format.Parse(text, message(name)())
    except text_format.ParseError as error:
        raise InputError(f"{file}: line {_line(error)}") from None


def text(value: Message) -> str:
    """The text format of a message."""
    return text_format.MessageToString(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="tfrec_fusion/serving_configs.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[_WRAPPERS],
    )
    for name, fields in _FIELDS.items():
        described = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            kind, repeated = kind.removeprefix("repeated "), kind.startswith("repeated ")
            label = _TYPES.LABEL_REPEATED if repeated else _TYPES.LABEL_OPTIONAL
            added = described.field.add(name=field, number=number, label=label)
            if kind in ("bool", "int64", "string"):
                added.type = _TYPES.Type.Value(f"TYPE_{kind.upper()}")
            else:
                added.type = _TYPES.TYPE_MESSAGE
                home = _PACKAGE if kind in _FIELDS else "google.protobuf"
                added.type_name = f".{home}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool
