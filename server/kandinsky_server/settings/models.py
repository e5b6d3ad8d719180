"""Which checkpoints are served."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Models(BaseModel):
    """Which checkpoints are served."""

    model: str | None = Field(
        None, description="A preset (kandinsky-2.2), a directory of stage folders, or 'toy' (default)."
    )
    prior: str | None = Field(
        None, description="Directory or hub id (owner/name, owner/name@revision) of the prior."
    )
    decoder: str | None = Field(None, description="Directory or hub id of the decoder.")
    inpaint: str | None = Field(None, description="Directory or hub id of the inpaint decoder.")
    controlnet: str | None = Field(None, description="Directory or hub id of the ControlNet decoder.")
    depth_model: str | None = Field(None, description="Directory or hub id of a depth-estimation model.")
