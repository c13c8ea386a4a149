"""What can be set from outside: every value is an environment variable that begins with NEXUS_."""

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from application.market_data.tiers import Tiers
from domain.events import AGGREGATE_KINDS
from infrastructure.log_lines import printable
from infrastructure.price_sources import PriceSource
from infrastructure.unix_paths import check_socket_path

PREFIX = "NEXUS_"
NOT_SETTINGS = ("NEXUS_IMPL", "NEXUS_TIMESCALE_URL")
"""Variables that are read elsewhere: which hot modules run, and a server for tests."""
SHORTEST_SECRET = 32

Rate = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
# By the events alone: the settings are read before it is chosen which hot modules to import.
AggregateKind = Annotated[str, Field(pattern=f"^({'|'.join(AGGREGATE_KINDS)})$")]
SchemaName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


def default_data_dir() -> Path:
    """The user's data directory, or for root one that `nobody` can reach."""
    if os.geteuid() == 0:
        return Path("/var/lib/nexustrade")
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "nexustrade"


def default_runtime_dir() -> Path:
    """A short directory for sockets, the user's own, empty after the machine's next start."""
    if os.geteuid() == 0:
        return Path("/run/nexustrade")
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and os.path.isdir(base) and os.access(base, os.W_OK) and len(base) < 48:
        return Path(base) / "nexustrade"
    return Path("/tmp") / f"nexustrade-{os.geteuid()}"


class SettingsError(Exception):
    """One or more variables cannot be used as they stand; the message names each of them."""


class Settings(BaseSettings):
    """The settings of one process; it reads the environment once and does not change after."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True
    )

    # The store
    database_url: str | None = None  # none: the embedded server in data_dir
    database_port: Port | None = None  # none: the embedded server listens on its socket alone
    # With a URL: a file of the secret that roles' passwords follow from; none: drawn at each start
    roles_file: Path | None = None
    data_dir: Path = Field(default_factory=default_data_dir)
    runtime_dir: Path = Field(default_factory=default_runtime_dir)
    partition: Annotated[int, Field(ge=0, le=1023)] = 0
    partition_schema: SchemaName = Field(
        default="partition_0",
        validation_alias=AliasChoices(PREFIX + "SCHEMA", PREFIX + "PARTITION_SCHEMA"),
    )

    # The doors
    host: str = "127.0.0.1"
    port: Port = 8000
    admin_key: SecretStr | None = None
    bus_path: Path | None = None  # none: a socket of this data directory and partition
    feed_path: Path | None = None  # none: a socket of this data directory and partition
    fix_config: Path | None = None  # none: no FIX gateway; api/fix/settings/ says what stands in it
    fix_host: str | None = None  # none: as host
    fix_port: Port = 9878
    read_wait_ms: Annotated[int, Field(ge=0, le=60_000)] = 500

    # What each process of a door takes on: connections, those of them that have not said who they
    # are, and how long a request may take to come
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 8_192
    connections_of_an_address: Annotated[int, Field(ge=1, le=1_000_000)] = 4_096
    strangers: Annotated[int, Field(ge=1, le=1_000_000)] = 2_048
    strangers_of_an_address: Annotated[int, Field(ge=1, le=1_000_000)] = 1_024
    # Addresses of proxies in front of it, with commas between them: each speaks for many
    proxies: Annotated[tuple[str, ...], NoDecode] = ()
    head_ms: Annotated[int, Field(ge=100, le=600_000)] = 10_000
    body_ms: Annotated[int, Field(ge=100, le=600_000)] = 30_000

    # What each key may ask of a gateway: requests a second, and of each kind so many under way
    key_requests_per_second: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    key_requests_under_way: Annotated[int, Field(ge=1, le=10_000)] = 16
    key_sockets: Annotated[int, Field(ge=1, le=100_000)] = 1_024

    # Market data
    reference_prices: Annotated[tuple[PriceSource, ...], NoDecode] = ()  # from outside, as JSON
    market_data_tiers: dict[Annotated[int, Field(ge=1, le=3)], list[str]] = Field(
        default_factory=lambda: {tier: [*symbols] for tier, symbols in Tiers().symbols.items()}
    )
    market_data_hot_rates: tuple[Rate, Rate] = (100, 10)  # requests a second, of tiers 1 and 2
    marks_max_age_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    marks_when_old: Literal["wait", "refuse"] = "wait"
    marks_when_away: Literal["views", "refuse"] = "views"

    # Market data over WebSockets: how often clients are told unless they ask for something else,
    # when they are told that the feed is stale, and when one that does not read is sent away
    market_data_throttle_ms: Annotated[int, Field(ge=10, le=10_000)] = 100
    market_data_heartbeat_ms: Annotated[int, Field(ge=1_000, le=60_000)] = 15_000
    market_data_stale_ms: Annotated[int, Field(ge=100, le=60_000)] = 1_000
    market_data_slow_ms: Annotated[int, Field(ge=100, le=600_000)] = 10_000

    # The writer
    queue_limit: Annotated[int, Field(ge=1)] = 20_000
    queue_age_ms: Annotated[int, Field(ge=10, le=60_000)] = 1_000  # of the oldest that waits
    batch_orders: Annotated[int, Field(ge=1, le=400)] = 400
    snapshot_every: Annotated[int, Field(ge=1)] = 1_000
    snapshot_every_of_kind: dict[AggregateKind, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict
    )
    desk_snapshot_every: Annotated[int, Field(ge=1)] = 100_000

    # The clock: what of a jump is followed at once, how long another must have held, and the
    # longest that is believed, which is also how far the log may be ahead of the clock at a start;
    # the origin is what the supervisor tells its processes of its own
    clock_step_ms: Annotated[int, Field(ge=1, le=60_000)] = 10_000
    clock_hold_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    clock_most_s: Annotated[int, Field(ge=1, le=31_622_400)] = 90_000
    clock_origin: Annotated[str, Field(pattern=r"^-?[0-9]+@[0-9]+(@-?[0-9]+@[0-9]+)?$")] | None = (
        None
    )

    @field_validator("database_url")
    @classmethod
    def _is_connection_string(cls, url: str | None) -> str | None:
        if not url:
            return None
        try:
            conninfo_to_dict(url)
        except ProgrammingError as error:
            # The text is not repeated: it may hold a password.
            raise ValueError(f"not a PostgreSQL connection string: {str(error).strip()}") from None
        return url

    @field_validator("admin_key")
    @classmethod
    def _is_not_guessed(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is None or not secret.get_secret_value():
            return None
        if len(secret.get_secret_value()) < SHORTEST_SECRET:
            # The text is not repeated: it is a secret all the same.
            raise ValueError(f"an operator's secret has {SHORTEST_SECRET} characters or more")
        return secret

    @field_validator("market_data_tiers")
    @classmethod
    def _are_tiers(cls, symbols: dict[int, list[str]]) -> dict[int, list[str]]:
        Tiers(symbols=symbols)
        return symbols

    @field_validator("market_data_hot_rates")
    @classmethod
    def _are_falling(cls, rates: tuple[int, int]) -> tuple[int, int]:
        if rates[0] <= rates[1]:
            raise ValueError("the rate of the first tier must be above that of the second")
        return rates

    @field_validator("reference_prices", mode="before")
    @classmethod
    def _is_json(cls, said: Any) -> Any:
        if not isinstance(said, str):
            return said
        try:
            return json.loads(said or "[]")
        except ValueError:
            # The text is not repeated: an address may hold a password.
            raise ValueError('not JSON, such as ["/data/prices.jsonl"]') from None

    @field_validator("proxies", mode="before")
    @classmethod
    def _are_addresses(cls, said: Any) -> Any:
        if isinstance(said, str) and said.strip().startswith("["):
            # As the supervisor hands it to its processes.
            said = json.loads(said)
        named = said.split(",") if isinstance(said, str) else said
        return tuple(str(ip_address(one.strip())) for one in named if one.strip())

    @field_validator("data_dir", "runtime_dir")
    @classmethod
    def _is_absolute(cls, path: Path) -> Path:
        return Path(os.path.abspath(path.expanduser()))

    @field_validator("fix_config", "roles_file")
    @classmethod
    def _is_absolute_or_none(cls, path: Path | None) -> Path | None:
        # Of an empty variable pydantic makes the working directory.
        return None if path in (None, Path()) else Path(os.path.abspath(path.expanduser()))

    @property
    def server_dir(self) -> Path:
        """Where the embedded server keeps its cluster and its log."""
        return self.data_dir / "postgresql"

    @property
    def socket_dir(self) -> Path:
        """Where the sockets of this data directory stand; another directory has another."""
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()
        return self.runtime_dir / digest[:8]

    @property
    def bus_dir(self) -> Path:
        """Where the venue's own sockets stand, which are not the server's user's."""
        return self.socket_dir.with_name(f"{self.socket_dir.name}-bus")

    @property
    def bus_socket(self) -> Path:
        """The unix socket on which the writer of this partition takes commands."""
        path = self.bus_path or self.bus_dir / f"bus-{self.partition}.sock"
        return check_socket_path(path, PREFIX + "BUS_PATH or " + PREFIX + "RUNTIME_DIR")

    @property
    def feed_socket(self) -> Path:
        """The unix socket on which the market-data process tells gateways of its market."""
        path = self.feed_path or self.bus_dir / f"feed-{self.partition}.sock"
        return check_socket_path(path, PREFIX + "FEED_PATH or " + PREFIX + "RUNTIME_DIR")

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment, or say which variable is wrong; one that is not known is as wrong,
        as what it was to set would silently be otherwise.
        """
        if unknown := unknown_variables(os.environ, cls):
            raise SettingsError("\n".join(unknown))
        try:
            return cls(**overrides)
        except ValidationError as error:
            lines = [
                f"{_variable(str(wrong['loc'][0]))}: {wrong['msg']}"
                for wrong in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("\n".join(lines)) from None
        except RuntimeError as error:
            # A user without a name has no home, in which the store would be.
            raise SettingsError(f"{PREFIX}DATA_DIR: is to be named: {error}") from None
        except UnreadableSetting as error:
            # What it says names the field in quotes, and no more.
            field = str(error).split('"')[1]
            raise SettingsError(f"{_variable(field)}: is to be written as JSON") from None


def unknown_variables(names: Iterable[str], settings: type[BaseSettings]) -> list[str]:
    """What is to be said of variables that look like settings and are none, in order."""
    known = {*known_variables(settings), *NOT_SETTINGS}
    said = []
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f", did you mean {near[0]}?" if near else ""
            said.append(f"{printable(name)}: there is no such setting{hint}")
    return said


def known_variables(settings: type[BaseSettings]) -> Iterator[str]:
    """Every variable that a setting is read from."""
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            yield from (choice for choice in alias.choices if isinstance(choice, str))
        else:
            yield PREFIX + name.upper()


def _variable(location: str) -> str:
    """The environment variable behind a field or one of its aliases."""
    return location if location.startswith(PREFIX) else PREFIX + location.upper()
