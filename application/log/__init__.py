"""The log as the application reads it: followed, replayed, shown, and shortened by snapshots."""
