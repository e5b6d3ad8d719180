"""A running server and a tiny checkpoint: for this project's tests and benchmarks, and for yours."""
