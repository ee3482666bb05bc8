"""Measurements: forwarding, joining, rooms of all sizes, switching; and the clients and links they use."""
