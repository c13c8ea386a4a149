"""FIX sessions: logon, numbers, heartbeats, gaps and resends, over connections that come and go."""
