"""`/login` and `/logout`: a token is shown once, in a form; a signed session stands for it afterwards."""

import time
from typing import Final
from urllib.parse import parse_qs, urlsplit

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from aggregator import session
from aggregator.access import presented
from aggregator.store import tokens
from aggregator.store.tokens import Live
from metering.api.access import admit, unknown
from metering.api.console.admission import COOKIE
from metering.api.console.pages import HEADERS, links, page, remember
from metering.api.problems import ProblemResponseError
from metering.api.services import services_of
from schemas.problems import ProblemCode

log = structlog.get_logger(__name__)

router: Final = APIRouter()

MAX_FORM_BYTES: Final = 10_000
MAX_FIELDS: Final = 20
_SEE_OTHER: Final = 303
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


@router.get("/login")
async def ask(request: Request) -> Response:
    """Ask for a token."""
    return page(request, "login.html", onwards="/", refusal="")


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Give a session for a token, and go on to where the browser was."""
    require_own_form(request)
    fields = await form(request)
    onwards = _within(fields.get("onwards", "/"))
    found = await _proved(request, fields.get("token", "").strip())
    if found is None:
        return page(
            request,
            "login.html",
            unknown().code.status,
            onwards=onwards,
            refusal="This token is not one in force.",
        )
    access = admit(services_of(request), found.access, [])
    remember(request, access)
    log.info("console_login", token_id=access.token_id, name=access.name)
    if onwards == "/" and links(access):
        onwards = links(access)[0][0]
    end_s = round(time.time()) + session.LIFETIME_S
    text = session.session_text(services_of(request).session_key, access.token_id, found.digest, end_s)
    response = RedirectResponse(onwards, _SEE_OTHER, HEADERS)
    response.set_cookie(
        COOKIE,
        text,
        max_age=session.LIFETIME_S,
        httponly=True,
        samesite="strict",
        secure=_needs_secrecy(request),
    )
    return response


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Let the browser forget its session."""
    require_own_form(request)
    response = RedirectResponse("/login", _SEE_OTHER, HEADERS)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=_needs_secrecy(request))
    return response


def require_own_form(request: Request) -> None:
    """Refuse what another site lets a browser send.

    Browsers say where a request comes from (https://www.w3.org/TR/fetch-metadata/), or at least its origin.

    Raises:
        ProblemResponseError: the form is not one of ours.
    """
    site = request.headers.get("sec-fetch-site")
    origin = urlsplit(request.headers.get("origin", "")).netloc
    is_own = site == "same-origin" if site is not None else origin == request.headers.get("host")
    if not is_own:
        raise ProblemResponseError(
            ProblemCode.INVALID_REQUEST, "This form was not sent by a page of the console: open it there."
        )


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, each once.

    Raises:
        ProblemResponseError: it is larger than any of ours, or has more fields.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise ProblemResponseError(ProblemCode.BODY_TOO_LARGE, "No form of the console is that large.")
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise ProblemResponseError(
            ProblemCode.INVALID_REQUEST, "No form of the console has that many fields."
        ) from None
    return {name: values[-1] for name, values in fields.items()}


async def _proved(request: Request, text: str) -> Live | None:
    """The token of this text, if it is one in force."""
    shown = presented(text)
    if shown is None:
        return None
    async with services_of(request).database.connection() as connection:
        admitted = await tokens.access_of(connection, text)
        return None if admitted is None else Live(admitted, shown.digest)


def _within(address: str) -> str:
    """An address of this site; what leads elsewhere is the first page."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() else "/"


def _needs_secrecy(request: Request) -> bool:
    """Whether the session may only travel encrypted: always, but to this very machine."""
    return request.url.scheme == "https" or request.url.hostname not in _LOOPBACK
