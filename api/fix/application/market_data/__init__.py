"""Market data for FIX sessions: what is asked, what of it was told, and how it is written."""
