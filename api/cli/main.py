"""The command `nexus`: listens to who asks it to leave, before anything that takes time."""

from __future__ import annotations

from api.cli import leaving


def main() -> None:
    """Run the command line of this process."""
    leaving.listen()
    try:
        from api.cli.command_line import run

        run()
    finally:
        leaving.leave_in_peace()


if __name__ == "__main__":
    main()
