"""Why a peer's call does not work: what is known of it, and what that means, for people.

`facts` is one snapshot as plain values; `transport_verdicts` and `media_verdicts` are pure functions of it; `collect`
takes it from a living session; `ended` keeps the last one of sessions that are gone; `page` writes it as HTML.
"""
