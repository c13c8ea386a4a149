"""All that is read: views kept from the event log, which can be thrown away and built again."""
