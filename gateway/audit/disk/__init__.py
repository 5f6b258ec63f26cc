"""The log's disk: locks, room, doubt after errors, and what must change in one transaction."""
