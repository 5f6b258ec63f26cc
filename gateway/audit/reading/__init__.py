"""Reading and checking a whole log, record by record or many at a glance."""
