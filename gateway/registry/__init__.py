"""What the gateway has been told: organisations, services, instruments and agreements."""
