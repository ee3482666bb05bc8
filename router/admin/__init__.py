"""The operators' HTTP interface, on a port of its own: rooms, participants, statistics, health, metrics."""
