"""OpenAPI document of the REST interface of the loaded models."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from urllib.parse import quote

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tfrec_fusion import __version__
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.deploy.tensor_slot import TensorSlot
from tfrec_fusion.server.feedback.events import KINDS, MAX_EVENTS
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.metrics import PATH as METRICS
from tfrec_fusion.server.predictor import Predictor
from tfrec_fusion.server.servable import DEFAULT_SIGNATURE, SignatureSlots
from tfrec_fusion.times import DAY, EARLIEST

PATH = "/openapi.json"
_FEEDBACK = "/feedback"
_MEANINGS = {
    400: "the request is invalid for this model",
    401: "the API key is missing or wrong; only on servers with a key",
    403: "the Host header is not allowed, or a page of another site sent the request",
    404: "the server has no such model, version or label",
    408: "the body arrived too slowly",
    413: "the body is too large",
    415: "the Content-Type is not application/json",
    429: "too many requests are in progress",
    503: "too many requests are waiting, or the disk is full",
    504: "no answer by the deadline",
}
_OF_A_BODY = (400, 401, 403, 408, 413, 503)
_NUMBERS = (
    "As in TF Serving, numbers that are not finite are written NaN, Infinity or -Infinity, without "
    "quotes. Integers have no decimal point. Lists at one depth have one length. Text that is not "
    "UTF-8 is returned as its bytes."
)
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
# Schemas of the types that JSON can hold; integers are added with their ranges.
_LEAVES = {
    "float": {"type": "number"},
    "double": {"type": "number"},
    "bool": {"type": "boolean"},
    "string": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["b64"],
                "properties": {
                    "b64": {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}
                },
                "additionalProperties": False,
            },
        ]
    },
} | {
    name: {"type": "integer", "minimum": np.iinfo(name).min, "maximum": np.iinfo(name).max}
    for name in ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")
}


def openapi_route(predictor: Predictor, routes: Sequence[BaseRoute] = ()) -> Route:
    """Route of `GET /openapi.json`; the document has `/feedback` if `routes` has it."""
    feedback = any(getattr(route, "path", None) == _FEEDBACK for route in routes)

    async def openapi(request: Request) -> Response:
        return Response(json.dumps(document(predictor, feedback)), media_type="application/json")

    return Route(PATH, openapi, methods=["GET"])


def document(predictor: Predictor, feedback: bool = False) -> dict:
    """Builds the OpenAPI 3.1 document of the versions that are available now.

    Leaves out signatures with an input or output of a type that JSON cannot hold.

    Args:
      feedback: whether the server has `/feedback`.

    Example:
      >>> sorted(document(predictor)["paths"])  # needs a running server  # doctest: +SKIP
      ['/monitoring/prometheus/metrics', '/v1/models/shop', ..., '/v1/models/shop:predict']
    """
    paths = {METRICS: {"get": _get("Metrics in Prometheus' text format", _text(), (401,))}}
    for name in predictor.manager.models:
        paths |= _model_paths(predictor, name)
    if feedback:
        paths[_FEEDBACK] = {"post": _feedback()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "tfrec-fusion serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                }
            }
        },
    }


def _model_paths(predictor: Predictor, name: str) -> dict:
    """Paths of the newest version, of versions by number and of versions by label."""
    manager, base = predictor.manager, f"/v1/models/{quote(name, safe='')}"
    signatures = _signatures(manager, name)
    labels = manager.labels.get(name, {})
    ways: list[tuple[str, list, dict | None]] = [("", signatures[:1], None)]
    if signatures:
        versions = [version for version, _ in signatures]
        parameter = _in_path("version", {"type": "integer", "enum": versions})
        ways.append(("/versions/{version}", signatures, parameter))
    labelled = [pair for pair in signatures if pair[0] in labels.values()]
    if labelled:
        named = sorted(label for label, of in labels.items() if of in dict(labelled))
        parameter = _in_path("label", {"type": "string", "enum": named})
        ways.append(("/labels/{label}", labelled, parameter))
    paths = {}
    for way, found, parameter in ways:
        given = {} if parameter is None else {"parameters": [parameter]}
        status = _get(f"Status of {name}", _json(_object("model_version_status")), (400, 401, 404))
        paths[base + way] = given | {"get": status}
        metadata = _get(
            f"Signatures of {name}", _json(_object("model_spec", "metadata")), (400, 401, 404)
        )
        paths[f"{base}{way}/metadata"] = given | {"get": metadata}
        asked, answered = _forms([pairs for _, pairs in found], predictor.limits)
        if asked:
            paths[f"{base}{way}:predict"] = given | {"post": _predict(name, asked, answered)}
    return paths


def _signatures(manager, name: str) -> list[tuple[int, dict[str, SignatureSlots]]]:
    """Pairs of version and its signatures, newest version first."""
    found = []
    try:
        states = manager.status(name)
    except StatusError:
        return []
    for version in sorted(states, reverse=True):
        try:
            with manager.servable(name, version) as servable:
                found.append((version, dict(servable.signatures)))
        except StatusError:
            continue  # loading, or already unloaded
    return found


def _forms(versions: list[dict[str, SignatureSlots]], limits: Limits) -> tuple[list, list]:
    """Schemas of requests and of answers, without duplicates."""
    asked, answered = [], []
    for signatures in versions:
        for name, signature in sorted(signatures.items()):
            slots = [*signature.inputs.values(), *signature.outputs.values()]
            if not signature.inputs or any(slot.type_name not in _LEAVES for slot in slots):
                continue
            with_rows = all(slot.shape is None or slot.shape for slot in slots)
            for form, answer in (("instances", "predictions"), ("inputs", "outputs")):
                meanings, does = _meanings(signature)
                if form == "inputs":
                    into = _columns(signature.inputs, meanings, limits, signature.counts)
                    out = _columns(signature.outputs, meanings)
                elif with_rows:
                    into = _rows(signature.inputs, meanings, limits, signature.counts)
                    out = _rows(signature.outputs, meanings)
                else:
                    continue
                wanted = _object(form) | does
                wanted["properties"] = {form: into, "signature_name": {"const": name}}
                if name != DEFAULT_SIGNATURE:
                    wanted["required"] = [form, "signature_name"]
                given = _object(answer) | {"properties": {answer: out}}
                asked += [] if wanted in asked else [wanted]
                answered += [] if given in answered else [given]
    return asked, answered


def _meanings(signature: SignatureSlots) -> tuple[dict[str, dict], dict]:
    """Descriptions of the inputs and outputs and of the signature, where the card has them."""
    described = signature.described
    if described is None:
        return {}, {}
    tensors = (*described.outputs, *described.inputs)
    meanings = {one.name: {"description": one.meaning} for one in tensors if one.meaning}
    return meanings, {"description": described.does} if described.does else {}


def _rows(
    slots: dict[str, TensorSlot],
    meanings: dict[str, dict],
    limits: Limits | None = None,
    counts: Collection[str] = (),
) -> dict:
    named = {
        name: _values(slot, slot.shape and slot.shape[1:], limits, name in counts)
        | meanings.get(name, {})
        for name, slot in slots.items()
    }
    bounds = {} if limits is None else {"minItems": 1, "maxItems": limits.list_length}
    kinds = [{"type": "array", "items": row} | bounds for row in _kinds(named, limits is not None)]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _columns(
    slots: dict[str, TensorSlot],
    meanings: dict[str, dict],
    limits: Limits | None = None,
    counts: Collection[str] = (),
) -> dict:
    named = {
        name: _values(slot, slot.shape, limits, name in counts) | meanings.get(name, {})
        for name, slot in slots.items()
    }
    kinds = _kinds(named, limits is not None)
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _kinds(named: dict[str, dict], request: bool) -> list[dict]:
    """Schemas of named values; a single one may come bare, and in requests also as an object."""
    together = _object(*named) | {"properties": named, "additionalProperties": False}
    if len(named) > 1:
        return [together]
    return [*named.values(), together] if request else [*named.values()]


def _values(slot: TensorSlot, shape: tuple | None, limits: Limits | None, is_count: bool) -> dict:
    """Schema of nested lists; allows anything if the rank is unknown."""
    if shape is None:
        return {}
    found = _LEAVES[slot.type_name]
    if limits is not None and is_count and found.get("type") == "integer":
        found = found | {"minimum": 1, "maximum": min(limits.k, found["maximum"])}
    for size in reversed(shape):
        # From an empty list the server could not tell the rank.
        least = {"minItems": 1} if limits is not None and found.get("type") == "array" else {}
        found = {"type": "array", "items": found} | least
        if size is not None:
            found |= {"minItems": size, "maxItems": size}
        elif limits is not None:
            found |= {"maxItems": limits.list_length}
    return found


def _predict(name: str, asked: list, answered: list) -> dict:
    return {
        "summary": f"Run a signature of {name}",
        "description": _NUMBERS,
        "requestBody": {"required": True, "content": _json({"anyOf": asked})},
        "responses": _responses(200, _json({"anyOf": answered}), (*_OF_A_BODY, 404, 429, 504)),
    }


def _feedback() -> dict:
    text = {"type": "string", "minLength": 1, "maxLength": 1000}
    event = _object("kind", "model", "version", "user_id", "item_id", "position")
    event["properties"] = {
        "kind": {"enum": list(KINDS)},
        "time": {"type": "number", "minimum": EARLIEST, "maximum": time.time() + DAY},
        "model": text,
        "version": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        "user_id": text,
        "item_id": text,
        "position": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
        "request_id": {"type": "string", "maxLength": 1000},
    }
    event["additionalProperties"] = False
    events = _object("events")
    events["properties"] = {
        "events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": event}
    }
    accepted = _object("accepted") | {"properties": {"accepted": {"type": "integer"}}}
    return {
        "summary": "Record impressions and clicks",
        "description": "Integers have no decimal point.",
        "requestBody": {"required": True, "content": _json(events)},
        "responses": _responses(202, _json(accepted), (*_OF_A_BODY, 415, 504)),
    }


def _get(summary: str, content: dict, errors: Sequence[int]) -> dict:
    return {"summary": summary, "responses": _responses(200, content, errors)}


def _responses(status: int, content: dict, errors: Sequence[int]) -> dict:
    error = _json({"$ref": "#/components/schemas/Error"})
    found = {str(status): {"description": "the answer", "content": content}}
    for code in sorted(errors):
        found[str(code)] = {"description": _MEANINGS[code], "content": error}
    return found


def _in_path(name: str, schema: dict) -> dict:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _object(*required: str) -> dict:
    return {"type": "object", "required": list(required)}


def _json(schema: dict) -> dict:
    return {"application/json": {"schema": schema}}


def _text() -> dict:
    return {"text/plain": {"schema": {"type": "string"}}}
