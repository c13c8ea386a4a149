"""The FIX 4.4 gateway: sessions, messages and their mapping to commands."""
