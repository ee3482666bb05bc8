"""What nodes know of each other: so far a directory of rooms, in memory or in Redis."""
