"""Rules, as tables. Pure: no clock, disk, network, thread or log; time arrives in events."""
