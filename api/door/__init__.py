"""What every door of the venue has in common: bounds, deadlines, and a fair share for each."""
