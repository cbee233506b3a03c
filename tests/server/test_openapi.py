import json
from pathlib import Path

import pytest
import urllib3

COUNT = 3000
# Beyond these no answer may be the server's fault.
DEFINED = (501, 503)


def fetch(server):
    answer = urllib3.request("GET", f"{server.rest}/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return json.loads(answer.data)


def memory(pid):
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def is_json(content):
    """Not so, as in TF Serving, with a number that is not finite or bytes that are no UTF-8."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    return "NaN" not in text and "Infinity" not in text


def forms(found, path, form):
    """Signature name -> schema of its rows or columns."""
    body = found["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return {
        schema["properties"]["signature_name"]["const"]: schema["properties"][form]
        for schema in body["anyOf"]
        if form in schema["properties"]
    }


def test_it_describes_what_is_loaded(embedded):
    found = fetch(embedded)
    assert found["openapi"] == "3.1.0"
    ways = ("", "/versions/{version}", "/labels/{label}")
    wanted = {"/feedback", "/monitoring/prometheus/metrics"} | {
        f"/v1/models/{name}{way}{what}"
        for name in ("zoo", "shop")
        for way in ways
        for what in ("", "/metadata", ":predict")
    }
    assert set(found["paths"]) == wanted
    zoo = found["paths"]["/v1/models/zoo/versions/{version}"]["parameters"]
    assert zoo[0]["schema"] == {"type": "integer", "enum": [2, 1]}
    zoo = found["paths"]["/v1/models/zoo/labels/{label}:predict"]["parameters"]
    assert zoo[0]["schema"] == {"type": "string", "enum": ["canary", "stable"]}

    columns = forms(found, "/v1/models/zoo:predict", "inputs")
    # JSON has no form for half an input or output.
    names = ["types", "copies", "image", "scalars", "matrix", "divide", "refuse", "uneven"]
    assert set(columns) == {"serving_default", *names}
    # A scalar has no rows.
    rows = forms(found, "/v1/models/zoo:predict", "instances")
    assert set(rows) == set(columns) - {"scalars"}
    pair = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    bounds = {"minItems": 1, "maxItems": 10_000}
    row = {"type": "array", "items": pair} | bounds
    assert rows["matrix"]["anyOf"][0] == {"type": "array", "items": row} | bounds
    assert columns["matrix"]["anyOf"][0] == {"type": "array", "items": row} | bounds
    assert columns["divide"]["properties"]["x"]["maxItems"] == 10_000
    assert columns["divide"]["required"] == ["x", "z"]
    i8 = columns["types"]["properties"]["i8"]["items"]["items"]
    assert i8 == {"type": "integer", "minimum": -128, "maximum": 127}
    k = forms(found, "/v1/models/shop:predict", "inputs")["recommend"]["properties"]["k"]["items"]
    assert (k["minimum"], k["maximum"]) == (1, 10_000)


@pytest.mark.acceptance
def test_answers_are_as_described(embedded):
    schemathesis = pytest.importorskip("schemathesis", reason='needs ".[fuzz]"')
    import requests
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks

    schema = schemathesis.openapi.from_dict(fetch(embedded))
    schema.validate()
    strategies = []
    for found in schema.get_all_operations():
        operation = found.ok()
        strategies.append(operation.as_strategy(GenerationMode.POSITIVE))
        if operation.body or operation.path_parameters:
            strategies.append(operation.as_strategy(GenerationMode.NEGATIVE))
    conforms = [checks.status_code_conformance, checks.content_type_conformance]
    counts, before = {}, []

    @seed(0)
    @settings(
        max_examples=COUNT,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def ask(case):
        answer = case.call(base_url=embedded.rest, session=session, timeout=30)
        counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
        assert answer.status_code < 500 or answer.status_code in DEFINED, case.as_curl_command()
        fits = [checks.response_schema_conformance] if is_json(answer.content) else []
        case.validate_response(answer, checks=conforms + fits)
        if sum(counts.values()) == COUNT // 5:
            before.append(memory(embedded.process.pid))

    with requests.Session() as session:
        ask()
    print(counts)
    assert sum(counts.values()) >= COUNT
    # Some of it is what the models take, and some is not.
    assert counts[200] > COUNT / 10 and counts[400] > COUNT / 10, counts
    grown = memory(embedded.process.pid) - before[0]
    print(f"{grown:.0f} MB")
    assert grown < 100, f"{grown} MB"
    assert not any('"event": "bug"' in line for line in embedded.log)
