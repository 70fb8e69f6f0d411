"""A whole call on loopback, nothing to configure: synthetic peers, a house of its own, the story of the call."""
