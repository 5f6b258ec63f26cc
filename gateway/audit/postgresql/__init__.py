"""The log in PostgreSQL: its schema, sessions, presence of other hosts, and upkeep."""
