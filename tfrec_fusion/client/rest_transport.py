"""Client transport: TF Serving over REST."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.client.credentials import Credentials
from tfrec_fusion.client.errors import serving_error
from tfrec_fusion.client.model_spec import ModelSpec

_EXTRA = "serving"
# HTTP status -> gRPC status as TF Serving maps them; 502 comes from proxies.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_DTYPES = {
    "DT_STRING": "string",
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_BOOL": "bool",
}


class RestTransport:
    """Sends requests over a pool of HTTP connections that stay open.

    Args:
      url: "http://host:port" or "https://...", with a path prefix if a proxy needs one.
      model: the model to call.
      connections: size of the pool.
      credentials: for this URL; none by default.

    Raises:
      ImportError: the extra `serving` is not installed.
    """

    def __init__(
        self,
        url: str,
        model: ModelSpec,
        connections: int = 8,
        credentials: Credentials | None = None,
    ):
        self._urllib3 = optional("urllib3", _EXTRA)
        credentials = credentials or Credentials(url)
        self._pool = self._urllib3.PoolManager(
            maxsize=connections,
            retries=False,
            headers=credentials.headers,
            ca_certs=credentials.ca_certs,
        )
        at = f"{url.rstrip('/')}/v1/models/{quote(model.name, safe='')}"
        if model.version is not None:
            at += f"/versions/{model.version}"
        self._status_url = at
        if model.label is not None:
            at += f"/labels/{quote(model.label, safe='')}"
        self._url = at
        self._outputs: dict[str, dict[str, tuple[str, int]]] | None = None

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Runs a signature; returns output name -> array, with strings as bytes."""
        body = {
            "signature_name": signature,
            "inputs": {name: _json(value) for name, value in inputs.items()},
        }
        outputs = self._post(":predict", body, timeout)["outputs"]
        specs = self._specs(signature, outputs, timeout)
        if len(specs) == 1:
            # TF Serving leaves out the name of a single output.
            outputs = {name: outputs for name in specs}
        return {name: _array(value, *specs[name]) for name, value in outputs.items()}

    def signatures(self, timeout: float) -> dict[str, dict[str, dict[str, tuple[str, int]]]]:
        """Metadata of the model: signature -> "inputs" or "outputs" -> name -> (dtype, rank)."""
        answer = self._request("GET", self._url + "/metadata", None, timeout)
        found = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: {
                side: {key: _spec(info) for key, info in signature[side].items()}
                for side in ("inputs", "outputs")
            }
            for name, signature in found.items()
            if not name.startswith("__saved_model_")
        }

    def status(self, timeout: float) -> list[dict]:
        """Version, state and error of each version that the server knows."""
        answer = self._request("GET", self._status_url, None, timeout)
        return [
            {
                "version": int(version["version"]),
                "state": version["state"],
                "error": version.get("status", {}).get("error_message", ""),
            }
            for version in answer["model_version_status"]
        ]

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def _specs(self, signature: str, outputs, timeout: float) -> dict[str, tuple[str, int]]:
        """Output specs; fetched again if the outputs are not those of the cached version."""
        for known in (self._outputs, None):
            if known is None:
                found = self.signatures(timeout).items()
                known = self._outputs = {name: sides["outputs"] for name, sides in found}
            specs = known.get(signature, {})
            if len(specs) == 1 or (isinstance(outputs, dict) and outputs.keys() == specs.keys()):
                return specs
        raise serving_error(
            "ABORTED", f"{signature}: the server switched versions during the call; call again"
        )

    def _post(self, path: str, body: dict, timeout: float) -> dict:
        return self._request("POST", self._url + path, json.dumps(body).encode(), timeout)

    def _request(self, method: str, url: str, body: bytes | None, timeout: float) -> dict:
        errors = self._urllib3.exceptions
        limit = self._urllib3.Timeout(total=timeout)
        try:
            answer = self._pool.request(
                method,
                url,
                body=body,
                timeout=limit,
                # A redirect would send the key to another server.
                redirect=False,
            )
        except errors.ConnectTimeoutError as error:
            raise serving_error("UNAVAILABLE", str(error)) from error
        except errors.TimeoutError as error:
            raise serving_error("DEADLINE_EXCEEDED", str(error)) from error
        except errors.HTTPError as error:
            # Connection refused, reset, or closed in the middle of an answer.
            raise serving_error("UNAVAILABLE", str(error)) from error
        if answer.status != 200:
            code = _CODES.get(answer.status, "UNKNOWN")
            raise serving_error(code, _error_text(answer.data) or f"HTTP {answer.status}")
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise serving_error("INTERNAL", f"the answer is not JSON: {error}") from error


def _json(value: np.ndarray):
    """Converts an array to nested lists, with bytes that are not UTF-8 as {"b64": ...}."""
    value = np.asarray(value)
    if value.dtype.kind not in "OSU":
        return value.tolist()
    flat = np.empty(value.size, object)
    flat[:] = [_text(item) for item in value.ravel()]
    return flat.reshape(value.shape).tolist()


def _text(item: str | bytes):
    if isinstance(item, str):
        return item
    try:
        return item.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(item).decode()}


def _array(value, dtype: str, rank: int) -> np.ndarray:
    if dtype == "string":
        strings = np.array(_bytes(value), object)
        return strings if strings.ndim == rank else strings.reshape(_shape(value, rank))
    found = np.array(value, dtype)
    return found if found.ndim == rank else found.reshape(_shape(value, rank))


def _bytes(value):
    if isinstance(value, list):
        return [_bytes(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()


def _shape(value, rank: int) -> list[int]:
    """Shape of nested lists, some of which may be empty."""
    shape = []
    for _ in range(rank):
        shape.append(len(value))
        value = value[0] if len(value) else []
    return shape


def _spec(info: dict) -> tuple[str, int]:
    dtype = _DTYPES.get(info["dtype"]) or info["dtype"]
    return dtype, len(info.get("tensor_shape", {}).get("dim", []))


def _error_text(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")
