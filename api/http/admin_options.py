"""/admin/options: list the options of an underlying."""

from __future__ import annotations

from litestar import Response, post
from litestar.params import JSONBody

from api.decimals import ExactRequest
from api.documents import Outcome
from api.http.admin_accounts import outcome
from api.http.admin_market import TAGS
from api.http.guards import gateway_of, principal_of
from api.http.responses import COMMAND_HEADERS, problems
from api.instrument_schemas import OptionChainRequest
from application.commands import ListOptionChain


@post(
    "/options/chains",
    status_code=200,
    tags=TAGS,
    summary="List a chain of options",
    responses=problems(409, 413),
    response_headers=COMMAND_HEADERS,
)
async def list_option_chain(
    request: ExactRequest, data: JSONBody[OptionChainRequest]
) -> Response[Outcome]:
    """List a chain of options.

    Each expiry with each strike and right, 400 contracts at most; all of them or none. Those that
    are there stay as they are, so that the same chain again gives the same contracts.
    """
    command = ListOptionChain(**data.terms())
    return outcome(await gateway_of(request).send(command, principal_of(request)))


HANDLERS = [list_option_chain]
