"""The doors of the venue and the one place where ports and adapters are joined."""
