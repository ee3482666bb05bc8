"""Measurements of the router: forwarding, joining, rooms of all sizes, switching; and the clients and links for them."""
