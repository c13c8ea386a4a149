"""Market data as clients ask for it: how fresh an answer is, how seldom its source is called."""
