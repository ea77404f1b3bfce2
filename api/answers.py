"""Answers to operations, as they are stored with an idempotency key and sent to the caller."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from api.problems import MEDIA_TYPE, Problem

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """A status and a body, word for word, and where the resource is found."""

    status: int
    body: str
    location: str | None = None

    def response(self, *, replayed: bool = False) -> Response:
        """The answer as it goes out."""
        headers: dict[str, str] = {}
        if self.location is not None:
            headers["Location"] = self.location
        if replayed:
            headers["Idempotent-Replayed"] = "true"
        media_type = JSON if self.status < 400 else MEDIA_TYPE
        return Response(self.body, self.status, headers, media_type)


def of_problem(problem: Problem, request_id: str) -> Answer:
    """A refusal of the operation itself: it is stored like any other answer."""
    return Answer(problem.status, problem.document(request_id))
