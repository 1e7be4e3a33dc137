"""The report of a training, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..schema import Column, Schema
from .fit import Fitted

WIDTH, HEIGHT, MARGIN = 640, 240, 40


def text(fitted: Fitted, schema: Schema) -> str:
    """Describe the scores of all heads on the held-out part."""
    lines = [
        f"epoch {fitted.best_epoch + 1} of {len(fitted.valid_losses)}: "
        f"loss {fitted.train_losses[fitted.best_epoch]:.4f}, held-out loss {fitted.valid_losses[fitted.best_epoch]:.4f}"
    ]
    for name, score in fitted.scores.items():
        head = schema.heads[name]
        if head.is_discrete:
            recall = ", ".join(
                f"{_label(head, index)} {share:.3f}" for index, share in enumerate(score.recall) if share == share
            )
            lines.append(f"{name}: held-out loss {score.loss:.4f}, accuracy {score.accuracy:.3f}; recall {recall}")
        else:
            errors = ", ".join(f"{deviation:.4g}" for deviation in score.deviation)
            lines.append(
                f"{name}: held-out loss {score.loss:.4f}, explained variance {score.accuracy:.3f}; error {errors}"
            )
    return "\n".join([*lines, *(f"note: {note}" for note in fitted.notes)]) + "\n"


def picture(fitted: Fitted, schema: Schema) -> str:
    """Draw the losses of each epoch, and the recall of each class, as SVG."""
    bars = [
        (f"{name}: {_label(schema.heads[name], index)}", share)
        for name, score in fitted.scores.items()
        for index, share in enumerate(score.recall or [max(score.accuracy, 0.0)])
        if share == share
    ]
    height = HEIGHT + 24 * len(bars) + MARGIN
    curves = [("training", "#4878d0", fitted.train_losses), ("held-out", "#d65f5f", fitted.valid_losses)]
    highest = max(max(losses) for _, _, losses in curves)
    lowest = min(min(losses) for _, _, losses in curves)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for row, (label, colour, losses) in enumerate(curves):
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{_points(losses, lowest, highest)}"/>')
        parts.append(f'<text x="{WIDTH - 150}" y="{20 + 16 * row}" fill="{colour}">{label} {losses[-1]:.4f}</text>')
    parts.append(
        f'<text x="{MARGIN}" y="16">loss {lowest:.3g} to {highest:.3g}, {len(fitted.valid_losses)} epochs</text>'
    )
    for row, (label, share) in enumerate(bars):
        top = HEIGHT + 24 * row
        parts.append(f'<rect x="240" y="{top}" width="{300 * share:.1f}" height="16" fill="#6acc64"/>')
        parts.append(f'<text x="230" y="{top + 13}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<text x="{246 + 300 * share:.1f}" y="{top + 13}">{share:.3f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _points(losses: Sequence[float], lowest: float, highest: float) -> str:
    across = (WIDTH - 2 * MARGIN) / max(len(losses) - 1, 1)
    up = (HEIGHT - 2 * MARGIN) / max(highest - lowest, 1e-9)
    return " ".join(
        f"{MARGIN + across * index:.1f},{HEIGHT - MARGIN - up * (loss - lowest):.1f}"
        for index, loss in enumerate(losses)
    )


def _label(head: Column, index: int) -> str:
    if not head.is_discrete:
        return "explained variance"
    return head.space.labels[index] if index < len(head.space.labels) else str(index)
