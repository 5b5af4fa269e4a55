"""Makes pages of templates: everything in them is escaped, and a browser is told to run nothing of others."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aggregator.access import Access, Scope
from metering.api.console.assets import VERSION
from metering.api.problems import ProblemResponseError
from metering.api.services import services_of
from metering.quarantine.plain import plain
from metering.texts import duration_text, time_text
from schemas.number import plain_text
from schemas.problems import ProblemCode

HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}

NOTHING: Final = "-"
_PAGES: Final = {
    "/": ("Status", Scope.STATUS_READ),
    "/findings": ("Findings", Scope.STATUS_READ),
    "/quarantine": ("Quarantine", Scope.STATUS_READ),
    "/customers": ("Customers", Scope.RATED_READ),
}
_NO_LOGIN: Final = (ProblemCode.TOKEN_MISSING, ProblemCode.TOKEN_INVALID)

_templates: Final = Environment(
    loader=PackageLoader("metering.api.console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {
    "time": lambda us: NOTHING if us is None else Markup("<time>{}</time>").format(time_text(us)),
    "second": lambda us: NOTHING if us is None else Markup("<time>{}</time>").format(_to_the_second(us)),
    "instant": time_text,
    "duration": lambda us: NOTHING if us is None else duration_text(us),
    "exact": lambda value: NOTHING if value is None else plain_text(value),
    "count": lambda number: NOTHING if number is None else f"{number:,}",
    "plain": plain,
}
_templates.globals["asset_version"] = VERSION


def _to_the_second(us: int) -> str | None:
    return time_text(us // 1_000_000 * 1_000_000)


def page(
    request: Request,
    template: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """A page, with the links that whoever is logged in may follow."""
    access = access_of(request)
    text = _templates.get_template(template).render(
        access=access,
        links=[] if access is None else links(access),
        path=request.url.path,
        **values,
    )
    return Response(text, status, {**HEADERS, **(headers or {})}, "text/html; charset=utf-8")


def problem_page(request: Request, problem: ProblemResponseError) -> Response:
    """What a request was refused for; who is not logged in can do so there and then."""
    headers = {name: text for name, text in (problem.headers or {}).items() if name != "www-authenticate"}
    if problem.code in _NO_LOGIN:
        onwards = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return page(request, "login.html", 401, headers, onwards=onwards, refusal=problem.detail)
    runbook = f"{services_of(request).settings.runbook_url}#{problem.code.anchor}"
    return page(
        request,
        "problem.html",
        problem.code.status,
        headers,
        problem=problem,
        errors=problem.errors,
        runbook=runbook,
    )


def links(access: Access) -> list[tuple[str, str]]:
    """Address and name of each page that a token may see."""
    return [(path, name) for path, (name, scope) in _PAGES.items() if access.allows(scope)]


def remember(request: Request, access: Access) -> None:
    """Note who asks, for the page that answers."""
    request.scope["metering.access"] = access


def access_of(request: Request) -> Access | None:
    """Who asks; None: nobody whom we know."""
    access: Access | None = request.scope.get("metering.access")
    return access
