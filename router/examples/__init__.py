"""Programs to start from; each runs as `python -m router.examples.NAME`, and is tested."""
