"""Every process that the venue starts has its place wherever processes are told apart."""

from __future__ import annotations

import pytest

from api.cli.serve import Role
from api.processes.stopping import STAGES
from infrastructure.log.roles import OF_PROCESS

OWNERS = {Role.STORE, Role.MOVER}
"""Who works on a store as its owner does: it keeps the server, it moves the log."""


@pytest.mark.parametrize("process", sorted(set(Role) - OWNERS))
def test_process_has_a_role_in_the_store(process: Role) -> None:
    """One that was forgotten would come in as the owner."""
    assert process in OF_PROCESS


def test_nobody_has_a_role_who_is_no_process() -> None:
    """A role's table is read by the names of processes."""
    assert set(OF_PROCESS) == set(Role) - OWNERS


@pytest.mark.parametrize("process", sorted(set(Role) - {Role.STORE}))
def test_process_ends_in_one_stage(process: Role) -> None:
    """One that was forgotten would be left behind; the store ends after all of them."""
    assert 1 == sum(process in roles for roles, _ in STAGES)
