"""What stands behind FIX sessions: orders in, and reports out of the log."""
