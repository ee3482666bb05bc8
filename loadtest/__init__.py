"""Measurements of the router: forwarding, joining, rooms, switching; and the clients and links they are made with."""
