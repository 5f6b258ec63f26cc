"""The data plane: one exchange, from the request's first byte to the outcome record."""
