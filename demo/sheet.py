"""The contact sheet: a row an RPC, every picture labelled."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from demo.calls import Row

TILE, GAP, TITLE, LABEL = 160, 14, 30, 34
INK, PAPER, FRAME = (25, 25, 30), (250, 250, 248), (205, 205, 200)


def contact_sheet(rows: Sequence[Row]) -> Image.Image:
    """All rows under one another, at most as wide as the longest."""
    columns = max(len(row.tiles) for row in rows)
    width = GAP + columns * (TILE + GAP)
    height = GAP + len(rows) * (TITLE + TILE + LABEL + GAP)
    sheet = Image.new("RGB", (width, height), PAPER)
    for place, row in enumerate(rows):
        _draw_row(sheet, row, GAP + place * (TITLE + TILE + LABEL + GAP))
    return sheet


def _draw_row(sheet: Image.Image, row: Row, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, top + 4), row.title, INK, font=ImageFont.load_default(16))
    small = ImageFont.load_default(11)
    for column, (label, image) in enumerate(row.tiles):
        left = GAP + column * (TILE + GAP)
        shown = image.convert("RGB").resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(shown, (left, top + TITLE))
        draw.rectangle((left - 1, top + TITLE - 1, left + TILE, top + TITLE + TILE), outline=FRAME)
        draw.multiline_text(
            (left, top + TITLE + TILE + 3), textwrap.fill(label, 28), INK, font=small, spacing=1
        )
