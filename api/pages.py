"""Lists: a page and where the next one begins."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.callers import Caller
from api.problems import invalid
from recompense.persistence.reads import Filters

_NOBODY = ""

Item = TypeVar("Item")
Shown = TypeVar("Shown", bound=BaseModel)


class Page(BaseModel, Generic[Item]):
    """A page of a list. `next_cursor` is null on the last one."""

    model_config = ConfigDict(frozen=True)

    data: list[Item]
    next_cursor: str | None = Field(description="Hand it back as `cursor`.")


class PageQuery(BaseModel):
    """Which page of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="How many at most.")
    cursor: str | None = Field(
        default=None, max_length=512, description="`next_cursor` of the page before."
    )

    @property
    def after(self) -> str | None:
        """What the cursor names. Raises `Problem` 422."""
        return None if self.cursor is None else read_cursor(self.cursor)


class ListQuery(PageQuery):
    """Which page of a list, and what it is narrowed to."""

    status: str | None = Field(default=None, max_length=40, pattern=r"^[a-z_]+$")
    merchant_id: str | None = Field(default=None, max_length=80, pattern=r"^[!-~]+$")
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    def filters(self, caller: Caller, payment_id: str | None = None) -> Filters:
        """The list as this caller may see it: of another merchant there is nothing."""
        merchant_id = self.merchant_id or caller.merchant_id
        return Filters(
            limit=self.limit,
            before_id=self.after,
            merchant_id=merchant_id if caller.may_see(merchant_id) else _NOBODY,
            payment_id=payment_id,
            status=self.status,
            created_after=self.created_after,
            created_before=self.created_before,
        )


PageOf = Annotated[PageQuery, Query()]
ListOf = Annotated[ListQuery, Query()]


def cursor_of(place: str) -> str:
    """A cursor that names a place: opaque, so that nobody builds one."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The place that a cursor names. Raises `Problem` 422 for one that no page gave out."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        place = ""
    if not place or not place.isascii() or not place.isprintable():
        raise invalid("cursor", "invalid_cursor", "was not given out by this list")
    return place


def page(
    rows: Sequence[Item],
    limit: int,
    show: Callable[[Item], BaseModel],
    place: Callable[[Item], str],
) -> Response:
    """Answer a page, from its rows and one row more where there is one."""
    shown = [show(row) for row in rows[:limit]]
    more = cursor_of(place(rows[limit - 1])) if len(rows) > limit else None
    return json_response(Page[Any](data=shown, next_cursor=more))


def json_response(body: BaseModel, status: int = 200) -> Response:
    """Answer a body."""
    return Response(body.model_dump_json(), status, media_type="application/json")
