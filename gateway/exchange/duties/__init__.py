"""Duties on a service's answer: what may leave, leaves; the rest never does."""
