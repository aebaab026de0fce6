"""What storage can do with nothing around it: `python -m floor.sqlite`, `python -m floor.redis_py`."""
