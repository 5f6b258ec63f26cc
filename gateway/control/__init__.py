"""What people and administrators use: health, metrics, problems and the API."""
