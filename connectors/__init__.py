"""Ways to reach the services of departments."""
