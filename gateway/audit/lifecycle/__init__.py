"""A log from its opening to its end: start-up checks, upkeep, and shards."""
