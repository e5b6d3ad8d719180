"""The model that comes with the server: diffusers folders `prior/ decoder/ inpaint/ controlnet/`, and `depth/`.

`models/README.md` in the repository is its card; `make train` wrote these files.
"""
