"""What each process of a venue may do with its store, and what a gateway could do with what it has.

One venue, with a server of its own, for the whole file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.processes.fix import files_of
from api.processes.looking import children_of
from api.processes.supervisor import Supervisor
from infrastructure import confinement
from infrastructure.log.roles import OF_PROCESS, StoreRole
from infrastructure.settings import Settings
from tests.writer_process import wait_until

ADMIN_KEY = "role-" + "k" * 40
ROOT = Path(__file__).resolve().parent.parent.parent
LOG = "partition_0.stored_events"

TRY_TO_READ = """
import json, sys
from pathlib import Path
from infrastructure.confinement import confine
confine([Path(sys.argv[1])])
found = {}
for name in sys.argv[2:]:
    try:
        with open(name, "rb") as file:
            found[name] = len(file.read(64))
    except OSError as error:
        found[name] = type(error).__name__
try:
    Path(sys.argv[1]).with_name("written").write_text("by a stranger")
    found["written"] = 1
except OSError as error:
    found["written"] = type(error).__name__
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def venue(server_home: Path) -> Iterator[Supervisor]:
    """A venue whose processes are the roles that are tried."""
    home = server_home / uuid.uuid4().hex[:6]
    settings = Settings(
        data_dir=home / "data", runtime_dir=home / "run", port=18_431, admin_key=ADMIN_KEY
    )
    with Supervisor(settings, say=lambda text: None, output=subprocess.DEVNULL) as supervisor:
        yield supervisor


def way_in(venue: Supervisor, process: str) -> str:
    """The connection string that a process was started with."""
    return venue.environment(process)["NEXUS_DATABASE_URL"]


def refused(dsn: str, statement: str) -> bool:
    """Whether the server refuses a statement for want of a right."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        try:
            conn.execute(statement.encode())
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.DuplicateObject):
            return True
    return False


@pytest.mark.parametrize("process", sorted(OF_PROCESS))
def test_process_is_neither_superuser_nor_owner_and_cannot_become_one(
    venue: Supervisor, process: str
) -> None:
    """With its own name and password it makes no role, takes none and reads no password."""
    dsn = way_in(venue, process)
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert (False,) * 5 == found
    role = OF_PROCESS[process]
    others = {"nexus", "nexus_owner"} | {f"nexus_{one}" for one in StoreRole if one is not role}
    if role is StoreRole.WRITER:
        # It may end the sessions of those who only read, and is one of them for that.
        others -= {"nexus_gateway", "nexus_fix", "nexus_feed"}
    for other in others:
        assert refused(dsn, f"SET ROLE {other}"), other
        assert refused(dsn, f"SET SESSION AUTHORIZATION {other}"), other
        assert refused(dsn, f"ALTER ROLE {other} PASSWORD 'x'"), other
        assert refused(dsn, f"GRANT {other} TO nexus_{role}"), other
    assert refused(dsn, "CREATE ROLE another")
    assert refused(dsn, "SELECT rolpassword FROM pg_authid")
    assert refused(dsn, "COPY (SELECT 1) TO PROGRAM 'true'")
    assert refused(dsn, "SELECT pg_read_file('/etc/passwd')")
    assert refused(dsn, "CREATE SCHEMA mine")


@pytest.mark.parametrize("process", sorted(OF_PROCESS))
def test_nobody_who_serves_changes_or_removes_an_event(venue: Supervisor, process: str) -> None:
    """Neither the rows nor the table, and but for the writer nobody adds one."""
    dsn = way_in(venue, process)
    for statement in (
        f"UPDATE {LOG} SET actor = 'x'",
        f"DELETE FROM {LOG}",
        f"TRUNCATE {LOG}",
        f"DROP TABLE {LOG}",
        f"ALTER TABLE {LOG} ADD COLUMN x int",
        f"CREATE TRIGGER x BEFORE INSERT ON {LOG} EXECUTE FUNCTION partition_0.only_in_the_truth()",
        f"CREATE RULE x AS ON INSERT TO {LOG} DO INSTEAD NOTHING",
        "UPDATE partition_0.request_keys SET position = 0",
        "DELETE FROM partition_0.request_keys",
        "DELETE FROM partition_0.writer_epoch",
        "DELETE FROM partition_0.schema_migrations",
        "INSERT INTO partition_0.store_moves (phase, target_schema, layout, plan)"
        " VALUES ('planned', 'x', 'plain', '{}')",
    ):
        assert refused(dsn, statement), statement
    adding = f"INSERT INTO {LOG} SELECT * FROM {LOG} LIMIT 0"
    assert refused(dsn, adding) is (OF_PROCESS[process] is not StoreRole.WRITER)


def test_gateway_writes_no_view_and_no_number_of_a_fix_session(venue: Supervisor) -> None:
    """It reads what the projector keeps, and what the FIX gateway numbers it may not change."""
    dsn = way_in(venue, "gateway")
    for statement in (
        "UPDATE partition_0.projection_tracking SET position = 0",
        "DELETE FROM partition_0.balances",
        "UPDATE partition_0.fix_sessions SET told = 0",
        "CREATE TABLE partition_0.x ()",
    ):
        assert refused(dsn, statement), statement
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT * FROM partition_0.balances")
        conn.execute(f"SELECT * FROM {LOG} LIMIT 1")


@pytest.mark.parametrize("user", ["nexus", "nexus_owner", "nexus_writer", "nexus_projector"])
def test_gateways_password_is_no_other_roles_and_without_one_nobody_comes_in(
    venue: Supervisor, user: str
) -> None:
    """The socket trusts nobody for who he is to the kernel."""
    dsn = way_in(venue, "gateway")
    said = conninfo_to_dict(dsn)
    for password in (said["password"], "", "nexus"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                make_conninfo(dsn, user=user, password=password, passfile="/nowhere")
            ).close()


def test_environment_of_a_process_tells_no_secret_but_its_own(
    venue: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No admin key, no other role's password, and nothing of the starter's own affairs."""
    monkeypatch.setenv("SOME_TOKEN", "of another program")
    monkeypatch.setenv("PGPASSWORD", "of the owner")
    passwords = {role: conninfo_to_dict(dsn)["password"] for role, dsn in venue._ways_in.items()}
    for child in (*venue.children, *venue._keepers):
        environment = venue.environment(child.role)
        text = json.dumps(environment)
        assert ADMIN_KEY not in text and "NEXUS_ADMIN_KEY" not in environment
        assert "SOME_TOKEN" not in environment and "PGPASSWORD" not in environment
        own = OF_PROCESS.get(child.role)
        assert [] == [role for role, secret in passwords.items() if secret in text and role != own]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.skipif(os.geteuid() != 0, reason="a gateway's environment is hidden from others")
def test_processes_were_started_so(venue: Supervisor) -> None:
    """As the kernel has it: from nowhere, without the key; and the server knows nothing of us."""
    for child in (*venue.children, *venue._keepers):
        command = Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")
        environment = Path(f"/proc/{child.pid}/environ").read_bytes()
        assert b"-P" in command, child.role
        assert ADMIN_KEY.encode() not in environment, child.role
        assert ADMIN_KEY.encode() not in b" ".join(command)
    assert venue._database is not None and venue._database.server is not None
    server = Path(f"/proc/{venue._database.server.pid}/environ").read_bytes()
    assert b"NEXUS_" not in server and ADMIN_KEY.encode() not in server


def without_landlock() -> bool:
    """Whether this kernel has no means to confine a process."""
    done = subprocess.run(
        [sys.executable, "-c", TRY_TO_READ, "/nowhere"],
        *(),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return "Unconfined" in done.stderr


def test_gateway_can_open_nothing_of_the_store_nor_of_other_processes(venue: Supervisor) -> None:
    """The owner's passwords, the cluster, another process's memory: closed, once it is confined."""
    if without_landlock():
        pytest.skip("this kernel has no Landlock: the start says so")
    data = venue.settings.data_dir
    server = data / "postgresql"
    writer = venue.child("writer").pid
    # As a server of the same user keeps what its sessions share.
    theirs = Path(f"/dev/shm/{uuid.uuid4().hex}")
    theirs.write_text("what another process shares")
    names = [
        str(theirs),
        *(str(server / name) for name in ("password", "pgpass", "roles", "server.log")),
        str(server / "cluster" / "PG_VERSION"),
        *(f"/proc/{writer}/{name}" for name in ("environ", "mem", "maps")),
        sys.executable,
    ]
    done = subprocess.run(
        [sys.executable, "-c", TRY_TO_READ, str(data), *names],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs.unlink()
    found = json.loads(done.stdout)
    assert 64 == found.pop(sys.executable)
    assert {"PermissionError"} == set(found.values()), found
    status = Path(f"/proc/{venue.child('gateway').pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status


READ_TWO = """
import sys
from pathlib import Path
from infrastructure.confinement import confine
home = Path(sys.argv[1])
confine([home], [home / "fix.toml"])
print((home / "fix.toml").read_text())
try:
    (home / "password").read_text()
except PermissionError:
    print("closed")
"""


def test_role_file_of_sessions_in_the_data_directory_can_be_read(tmp_path: Path) -> None:
    """As `nexus demo` keeps it there: it alone, by the process of the sessions."""
    if without_landlock():
        pytest.skip("this kernel has no Landlock: the start says so")
    (tmp_path / "fix.toml").write_text("sessions")
    (tmp_path / "password").write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", READ_TWO, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ["sessions", "closed"] == done.stdout.split()
    assert [tmp_path / "fix.toml"] == files_of(tmp_path / "fix.toml")


LOOK_AT_A_CHILD = """
import os, signal, subprocess
from pathlib import Path
from api.processes.looking import is_stopped_child
from infrastructure.confinement import confine
confine([Path("/nowhere")])
child = subprocess.Popen(["sleep", "60"])
seen = [is_stopped_child(child.pid)]
child.send_signal(signal.SIGSTOP)
os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
seen.append(is_stopped_child(child.pid))
child.kill()
child.wait()
print([*seen, is_stopped_child(child.pid)])
"""


def test_gateway_that_is_confined_sees_that_a_worker_of_its_own_stands_still() -> None:
    """It may read of no other process, and is told of those that it has started."""
    if without_landlock():
        pytest.skip("this kernel has no Landlock: the start says so")
    done = subprocess.run(
        [sys.executable, "-c", LOOK_AT_A_CHILD],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[False, True, False]\n" == done.stdout


def test_owner_comes_in_by_a_file_that_is_his_alone(venue: Supervisor) -> None:
    """He is no superuser, owns what there is, and may do what each role may."""
    server = venue.settings.data_dir / "postgresql"
    for name in ("password", "pgpass", "roles", "server.log"):
        found = (server / name).lstat()
        assert (0o600, os.geteuid()) == (found.st_mode & 0o777, found.st_uid), name
    assert "password" not in conninfo_to_dict(venue.dsn)
    with psycopg.connect(venue.dsn, autocommit=True) as conn:
        assert ("nexus_owner", False) == conn.execute(
            "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        owners = conn.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = 'partition_0'::regnamespace AND relkind IN ('r', 'v')"
        ).fetchall()
    assert {("nexus_owner",), ("nexus_projector",)} == set(owners)


def test_view_that_the_owner_builds_is_the_projectors_to_keep(venue: Supervisor) -> None:
    """`nexus projections rebuild` makes tables that the projector goes on with."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "projections", "rebuild", "balances", "--json"],
        env=venue.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert 0 == done.returncode, done.stderr
    assert json.loads(done.stdout)["views"][0]["switched"]
    with psycopg.connect(way_in(venue, "projector"), autocommit=True) as conn:
        conn.execute("UPDATE partition_0.balances SET account_id = account_id")
    with psycopg.connect(way_in(venue, "gateway")) as conn:
        conn.execute("SELECT * FROM partition_0.balances")


def test_confinement_that_a_kernel_cannot_give_is_said() -> None:
    """Nobody believes that he is safe who is not."""
    confine = confinement.confine
    machine, confinement._ALIKE = confinement._ALIKE, ()
    try:
        with pytest.raises(confinement.Unconfined, match="no Landlock"):
            confine([])
    finally:
        confinement._ALIKE = machine


def test_tables_that_are_named_are_those_of_the_statements(venue: Supervisor) -> None:
    """A statement above that names no table would be refused for that alone."""
    with psycopg.connect(venue.dsn) as conn:
        for name in (
            *("stored_events", "request_keys", "writer_epoch", "schema_migrations"),
            *("store_moves", "projection_tracking", "balances", "fix_sessions"),
        ):
            conn.execute(
                sql.SQL("SELECT FROM {} LIMIT 0").format(sql.Identifier("partition_0", name))
            )


LONE = ("serve", "--only", "gateway", "--port")


@pytest.mark.parametrize("named", [False, True])
def test_gateway_that_is_served_alone_is_confined_too(venue: Supervisor, named: bool) -> None:
    """With the embedded store it has its own role and no more; where it is given an address it is
    said whose rights those are.
    """
    environment = venue.environment()
    if named:
        environment["NEXUS_DATABASE_URL"] = venue.dsn
    with lone(environment, str(venue.settings.port + 20 + named)) as (process, said):
        pid = process.pid if named else children_of(process.pid)[0]
        with psycopg.connect(venue.dsn) as conn:
            users = conn.execute(
                "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'lone%'"
            ).fetchall()
        if not without_landlock():
            assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    assert [("nexus_owner" if named else "nexus_gateway",)] == users
    text = "gateway works with all rights of database user nexus_owner"
    assert named is (text in said.read_text())
    assert ADMIN_KEY == environment["NEXUS_ADMIN_KEY"]


@contextmanager
def lone(environment: dict[str, str], port: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A gateway that nobody supervises, once it answers; and what it says."""
    said = Path(environment["NEXUS_DATA_DIR"]).parent / f"lone-{port}"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "api.cli.main", *LONE, port],
            env={**environment, "PGAPPNAME": "lone"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: answers(port), "the gateway to answer", said.read_text, 60)
        yield process, said
    finally:
        process.terminate()
        assert 0 == process.wait(30), said.read_text()


def answers(port: str) -> bool:
    """Whether a gateway is well."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
