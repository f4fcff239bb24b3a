"""Search: objective, archive of islands, promotion. No clock, no I/O; generators passed in."""
