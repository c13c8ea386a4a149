"""Who may log on to a FIX session: passwords, certificates, addresses, and how often one tries."""
