"""The scenarios played for real on loopback: issuers, departments, calls."""
