"""The strict front of the data listener: framing, limits, canonical targets."""
