"""/v2/account/configurations: how the account's owner wants it to trade."""

from __future__ import annotations

from litestar import Response, get, patch
from litestar.params import JSONBody

from api.configurations import AccountConfiguration, ConfigurationRequest, configuration_document
from api.decimals import ExactRequest
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition
from api.http.responses import COMMAND_HEADERS, json_response, problems
from api.refusals import NotFound
from api.trading import trader
from api.valuation import account_of
from domain.configuration import Configuration
from projections import balances

TAGS = ["Account"]


@get(
    "/account/configurations",
    tags=TAGS,
    summary="Get the account's configuration",
    responses=problems(404),
)
async def get_configuration(
    request: ExactRequest, position: MinPosition
) -> Response[AccountConfiguration]:
    """Get the account's configuration."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, "balances")
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, account_id)
    if row is None:
        raise NotFound("account")
    return json_response(configuration_document(account_of(row).configuration))


@patch(
    "/account/configurations",
    tags=TAGS,
    summary="Change the account's configuration",
    responses=problems(400, 404, 413, 422),
    response_headers=COMMAND_HEADERS,
)
async def set_configuration(
    request: ExactRequest, data: JSONBody[ConfigurationRequest]
) -> Response[AccountConfiguration]:
    """Change the account's configuration.

    What is given holds from the next order on, what is left out stays; orders that work go on.
    The answer is the whole configuration. A value that cannot be honoured is refused by name.
    """
    principal = principal_of(request)
    reply = await gateway_of(request).send(data.command(trader(principal)), principal)
    assert reply.result is not None, "a configuration that is set is told"
    told = configuration_document(Configuration(**reply.result["configuration"]))
    return json_response(told, position=reply.position, duplicate=reply.duplicate)


HANDLERS = [get_configuration, set_configuration]
