"""How the log of a partition moves to another store while orders flow."""
