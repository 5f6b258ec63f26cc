"""Finding records: the index, what is looked for, and the reading that is itself on record."""
