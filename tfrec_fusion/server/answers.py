"""Model status and metadata as TF Serving's messages and JSON."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfrec_fusion.server.model_versions import VersionState
from tfrec_fusion.server.servable import Servable

SIGNATURE_DEF = "signature_def"


def status_message(states: Mapping[int, VersionState]):
    """Builds a `GetModelStatusResponse`, highest version first."""
    answer = get_model_status_pb2.GetModelStatusResponse()
    values = get_model_status_pb2.ModelVersionStatus.State
    for version, found in states.items():
        added = answer.model_version_status.add(version=version, state=values.Value(found.state))
        added.status.error_code = 0
        if found.error is not None:
            added.status.error_code = found.error.number
            added.status.error_message = found.error.message
    return answer


def signature_map(servable: Servable):
    """Builds the `SignatureDefMap` of a version."""
    found = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in servable.definitions.items():
        found.signature_def[name].CopyFrom(definition)
    return found


def metadata_message(servable: Servable):
    """Builds a `GetModelMetadataResponse` with the signatures of a version."""
    answer = get_model_metadata_pb2.GetModelMetadataResponse()
    answer.model_spec.name = servable.name
    answer.model_spec.version.value = servable.version
    answer.metadata[SIGNATURE_DEF].Pack(signature_map(servable))
    return answer


def status_json(states: Mapping[int, VersionState]) -> str:
    """The status as JSON, as TF Serving's REST interface returns it."""
    return _json(status_message(states), False)


def metadata_json(servable: Servable) -> str:
    """The metadata as JSON, as TF Serving's REST interface returns it."""
    spec = _json(metadata_message(servable).model_spec, True)
    return (
        f'{{\n"model_spec":{spec},\n'
        f'"metadata": {{"{SIGNATURE_DEF}": {_json(signature_map(servable), True)}}}\n}}\n'
    )


def _json(message, proto_names: bool) -> str:
    return json_format.MessageToJson(
        message,
        always_print_fields_with_no_presence=True,
        preserving_proto_field_name=proto_names,
        indent=1,
    )
