"""The self-test (R57): a synthetic caller hears each line's notice back, and sees that sabotage is refused."""
