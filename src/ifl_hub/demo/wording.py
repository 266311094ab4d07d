"""Results in words that a person without statistics cannot misread; every number with what it was counted on."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from ..checkpoints import checkpoint_metadata
from .analysis import Analysis
from .examples import recognise
from .views import truth

INTRO = """
<div class="ifl-card ifl-intro">
<p class="ifl-headline">What was changed in this photo?</p>
<p>Give a picture, or take an example. A small network reads traces of noise, compression and resampling, and colours
what does not fit the rest.</p>
<div class="ifl-legend"><span>fits the rest</span><span class="ifl-colours"></span><span>does not fit</span></div>
<ul>
<li>Give the <b>most original file</b> you have. Screenshots, messenger copies and enlarged pictures have lost the
traces.</li>
<li>The result is a <b>hint where to look</b>, never a proof. Text, strong textures and highlights raise false alarms;
smooth edits and generated pictures are missed.</li>
<li>Your file is analysed byte for byte on this machine, shown to nobody else, and deleted within the hour.</li>
</ul>
</div>
"""


def error(message: object) -> str:
    """A line for something that cannot be done, read out by screen readers at once."""
    return f'<div class="ifl-card ifl-error" role="alert">{escape(str(message))}</div>'


def verdict(analysis: Analysis) -> str:
    """The headline, the score on its scale, and what both are worth."""
    score, alarm = analysis.result["score"], analysis.model.processor.score_threshold
    height, width = analysis.image.size
    facts = [f"{width} x {height} px", analysis.model.folder.name, *analysis.image.notes]
    return f"""
<div class="ifl-card {"ifl-flagged" if analysis.flagged else "ifl-calm"}" role="status">
<p class="ifl-headline">{"Flagged as altered" if analysis.flagged else "Not flagged"}</p>
{meter(score, alarm)}
<p>{caution(analysis.flagged, checkpoint_metadata(analysis.model.folder.path).get("operating_point"))}</p>
<p class="ifl-small">{escape(analysis.path.name)} · {escape(" · ".join(facts))}</p>
</div>
"""


def meter(score: float, alarm: float) -> str:
    """A score on the scale from 0 to 1, and the level above which the model raises the alarm."""
    return f"""
<div class="ifl-meter" role="img" aria-label="Suspicion {score:.2f} of 1; the alarm level is {alarm:.2f}">
<span class="ifl-alarm" style="left:{alarm:.1%}"></span><span class="ifl-needle" style="left:{score:.1%}"></span>
</div>
<p>Suspicion <b>{score:.2f}</b> of 1; this model flags above {alarm:.2f} <span class="ifl-key"></span></p>
"""


def caution(flagged: bool, point: Mapping[str, Any] | None, what: str = "picture") -> str:
    """How often a verdict like this is wrong.

    Args:
        flagged: The verdict.
        point: `operating_point` of the checkpoint's metadata; None, or rates of None, if they were not measured.
        what: "picture" or "face".

    Example:
        >>> point = {"false_alarm_rate": 0.107, "sensitivity": 0.538}
        >>> caution(True, point)
        'A reason to look closer, not a proof: in tests, this model also flagged 11 of 100 untouched pictures. ...'
        >>> caution(False, None)
        'This does not mean that the picture is genuine. How often this model is wrong has not been measured.'
    """
    opening = "A reason to look closer, not a proof" if flagged else f"This does not mean that the {what} is genuine"
    if point is None or point["false_alarm_rate"] is None:
        return f"{opening}. How often this model is wrong has not been measured."
    alarms, found = point["false_alarm_rate"], point["sensitivity"]
    where = f"The tests were made-up forgeries of photos it never saw; your {what}s will differ."
    if found <= alarms:
        return (
            f"{opening}: in tests, this model flagged untouched {what}s as often as altered ones, so its verdict says "
            f"nothing. {where}"
        )
    if flagged:
        return f"{opening}: in tests, this model also flagged {alarms * 100:.0f} of 100 untouched {what}s. {where}"
    return f"{opening}: in tests, this model missed {(1 - found) * 100:.0f} of 100 altered {what}s. {where}"


def area(analysis: Analysis, threshold: float) -> str:
    """How much is marked at a threshold and, where the truth is known, how much of it rightly."""
    marked = analysis.mask(threshold)
    lines = [f"<b>{marked.mean():.1%}</b> of the picture is marked at this threshold."]
    example, changed = recognise(analysis.path), truth(analysis)
    if example is not None and changed is not None:
        if changed.any():
            lines.append(
                f"Of what was really changed, <b>{np.mean(marked[changed]):.0%}</b> is marked; of what is marked, "
                f"<b>{_share(changed[marked])}</b> was changed."
            )
        lines = [" ".join(lines), f"<b>What happened:</b> {example.history} (Photo: {example.credit}.)"]
    return f'<div class="ifl-area" role="status"><p>{"</p><p>".join(lines)}</p></div>'


def legend(threshold: float) -> str:
    """What the colours mean, with the threshold on their scale."""
    return f"""
<div class="ifl-legend" aria-hidden="true"><span>fits the rest</span><span class="ifl-colours">
<span class="ifl-cut" style="left:{threshold:.0%}"></span></span><span>does not fit</span></div>
"""


def _share(values: np.ndarray) -> str:
    return f"{values.mean():.0%}" if values.size else "nothing"
