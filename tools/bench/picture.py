"""One picture of the comparison, as SVG written by hand: a block of bars for each measure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from report import Measure, number
from rounds import Outcome

BLOCKS_A_ROW = 2
WIDTH, MARGIN, NAMES, NUMBERS, BAR, GAP, HEAD = 470, 20, 170, 60, 16, 6, 34
FONT = 'font-family="sans-serif" font-size="12"'
CAREX, KEEPS, LOSES = "#2f855a", "#718096", "#cbd5e0"


def draw(outcome: Outcome, measures: Sequence[Measure]) -> str:
    """The medians; what keeps a killed worker's tasks is darker than what does not."""
    shown = [each for each in measures if any(outcome.median(name, each.key) for name in outcome.contenders)]
    height_of_block = HEAD + len(outcome.contenders) * (BAR + GAP) + MARGIN
    rows = -(-len(shown) // BLOCKS_A_ROW)
    width, height = 2 * MARGIN + BLOCKS_A_ROW * WIDTH, MARGIN + rows * height_of_block + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff" rx="8"/>',
    ]
    for place, measure in enumerate(shown):
        x = MARGIN + place % BLOCKS_A_ROW * WIDTH
        y = MARGIN + place // BLOCKS_A_ROW * height_of_block
        parts += _block(outcome, measure, x, y)
    parts += _legend(height - MARGIN)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _block(outcome: Outcome, measure: Measure, x: int, y: int) -> list[str]:
    better = "more" if measure.more_is_better else "less"
    title = f"{measure.title}, {measure.unit} ({better} is better)"
    parts = [_text(x, y + 14, title, 'font-weight="bold"')]
    medians = {name: outcome.median(name, measure.key) for name in outcome.contenders}
    most = max(value for value in medians.values() if value)
    for line, (name, contender) in enumerate(outcome.contenders.items()):
        top = y + HEAD + line * (BAR + GAP) - 8
        middle, value = top + BAR - 4, medians[name]
        parts.append(_text(x + NAMES - 8, middle, contender.title, 'text-anchor="end"'))
        if value is None:
            parts.append(_text(x + NAMES, middle, "–"))
            continue
        length = max(1.0, value / most * (WIDTH - NAMES - NUMBERS - MARGIN))
        colour = CAREX if contender.is_carex else KEEPS if contender.keeps else LOSES
        parts.append(f'<rect x="{x + NAMES}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        parts.append(_text(x + NAMES + length + 6, middle, number(value)))
    return parts


def _legend(y: int) -> list[str]:
    parts, x = [], MARGIN
    for colour, words in ((CAREX, "Carex"), (KEEPS, "keeps a killed worker's tasks"), (LOSES, "does not")):
        parts.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(x + 18, y, words))
        x += 40 + 7 * len(words)
    return parts


def _text(x: float, y: float, words: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="#1a202c" {attributes}>{escape(words)}</text>'
