"""What the gateway has been told: organisations, services, law, instruments and agreements."""
