"""The HTTP application: TF Serving's REST interface, metrics, OpenAPI and additional routes."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tfrec_fusion.server.codec.json_response import error_body
from tfrec_fusion.server.logs import Log
from tfrec_fusion.server.metrics import PATH
from tfrec_fusion.server.openapi import openapi_route
from tfrec_fusion.server.predictor import Predictor
from tfrec_fusion.server.rest.rest_api import RestApi


def create_app(predictor: Predictor, log: Log, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Builds the HTTP application that `Server` runs.

    Args:
      predictor: runs requests; its `manager`, `limits` and `metrics` are the server's.
      log: log of the server.
      routes: additional routes, e.g. of a page at `/`; matched after TF Serving's own.

    Example:
      >>> create_app(predictor, log, [Route("/hello", hello)])  # needs a server  # doctest: +SKIP
    """
    api = RestApi(predictor, log)

    async def metrics(request: Request) -> Response:
        return Response(predictor.metrics.page(), media_type="text/plain")

    own = [
        Route("/v1/{path:path}", api),
        # TF Serving's paths are not case-sensitive.
        Route("/V1/{path:path}", api),
        Route(PATH, metrics, methods=["GET"]),
        openapi_route(predictor, routes),
    ]
    return Starlette(
        routes=[*own, *routes],
        exception_handlers={404: _not_found, 405: _not_found},
    )


async def _not_found(request: Request, error: Exception) -> Response:
    body = error_body("Not Found")
    return Response(body, status_code=404, media_type="application/json")
