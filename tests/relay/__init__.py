"""Real calls through a UDP relay that loses, delays, doubles and reorders packets, captured on both sides of it."""
