"""What happened: a bounded log of typed events, and those who are told: SSE listeners, webhooks, a stream in Redis.

Rooms and the node append; nobody who appends ever waits, and no sink can hurt a call.
"""
