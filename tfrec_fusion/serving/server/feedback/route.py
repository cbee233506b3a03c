"""`POST /feedback`."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tfrec_fusion.serving.server.codec.json_response import error_body
from tfrec_fusion.serving.server.feedback.events import read_events
from tfrec_fusion.serving.server.feedback.feedback_log import FeedbackLog
from tfrec_fusion.serving.server.limits import Limits
from tfrec_fusion.serving.server.rest.body import DisconnectedError, read_body
from tfrec_fusion.serving.server.status import StatusError

_JSON = "application/json"


def feedback_route(log: FeedbackLog, limits: Limits) -> Route:
    """Takes `{"events": [...]}` and answers 202 with how many it took."""

    async def feedback(request: Request) -> Response:
        try:
            body = await read_body(request.receive, dict(request.scope["headers"]), limits)
            events = read_events(body)
            log.append(events)
        except StatusError as error:
            return Response(error_body(error.message), error.http, media_type=_JSON)
        except DisconnectedError:
            return Response(status_code=400)
        return Response(json.dumps({"accepted": len(events)}), 202, media_type=_JSON)

    return Route("/feedback", feedback, methods=["POST"])
