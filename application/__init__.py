"""The commands of the venue, the state its one writer owns, and the ports it works through."""
