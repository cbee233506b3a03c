"""HTTP route of `POST /feedback`."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.server.codec.json_response import error_body
from tfrec_fusion.server.feedback.events import read_events
from tfrec_fusion.server.feedback.feedback_log import FeedbackLog
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.origins import require_json
from tfrec_fusion.server.rest.body import DisconnectedError, read_body

_JSON = "application/json"


def feedback_route(log: FeedbackLog, limits: Limits, any_time: bool = False) -> Route:
    """Route that stores `{"events": [...]}` and answers 202 once all of them are on the disk.

    Args:
      log: where the events are stored.
      limits: limits of body size and time.
      any_time: as in `read_events`.
    """

    async def feedback(request: Request) -> Response:
        try:
            require_json(request)
            body = await read_body(request.receive, dict(request.scope["headers"]), limits)
            limits.check_json(body)
            accepted = await _written(log, read_events(body, any_time), limits)
        except StatusError as error:
            return Response(error_body(error.message), error.http, media_type=_JSON)
        except DisconnectedError:
            return Response(status_code=400)
        return Response(json.dumps({"accepted": accepted}), 202, media_type=_JSON)

    return Route("/feedback", feedback, methods=["POST"])


async def _written(log: FeedbackLog, events: list[dict], limits: Limits) -> int:
    try:
        async with asyncio.timeout(limits.seconds):
            return await asyncio.wrap_future(log.append(events))
    except TimeoutError:
        raise StatusError(
            "DEADLINE_EXCEEDED",
            f"feedback: events were not written within {limits.seconds:g} s",
        ) from None
