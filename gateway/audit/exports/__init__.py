"""Records for other programs: files, evidence packs, and what is forwarded."""
