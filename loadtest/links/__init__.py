"""What a real receiver sees on a real link: Chromium publishes to our router, Chromium watches behind an emulated link.

- `scenes`: what the links do, as data.
- `stage`: router, link and browsers, each in a network namespace of its own where it needs one.
- `page.js`, `readings`: what everybody's counters said at one moment.
- `samples`: half a second as figures. `summary`: a whole run as figures, and whether the machine was fit for it.
- `plot`, `report`: pictures, JSON and tables.
- `scene_run`, `slow_receiver`, `switching`: the three measurements.

A machine of few cores encodes and decodes in software: pictures are 640x360 at 20 frames a second in three layers, so
that the link and not the machine is the bottleneck. A run on a machine that was busy all the same is inconclusive.
"""
