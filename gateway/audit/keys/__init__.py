"""The log's keys: signing, receipts, days, people's years, and how they lie on disk."""
