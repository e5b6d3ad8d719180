"""What the server does on a GPU, at Kandinsky's real size: `python -m benchmarks gpu`."""
