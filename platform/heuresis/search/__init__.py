"""Search: objective, archive of islands, promotion. Pure: no clock, no I/O, generators passed in."""
