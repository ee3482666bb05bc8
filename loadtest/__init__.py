"""Measurements of the router: what forwarding, joining and idle peers cost."""
