"""One file for each library, with `worker(concurrency)` and `producer()`; `script` is their command line."""
