"""The audit log: durable, tamper-evident and provable to outsiders."""
