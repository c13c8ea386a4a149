"""The command line `nexus`: one module a sub-command, found by its name."""
