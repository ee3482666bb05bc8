"""Results as files: JSON with every sample, a picture for each scene, and tables for people."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtest import proc
from loadtest.links.plot import draw_run
from loadtest.links.scene_run import SceneRun
from loadtest.links.slow_receiver import SlowResult
from loadtest.links.switching import SwitchingResult
from router import _engine

FOLDER = Path(__file__).parents[1] / "results" / "links"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _kbps(value: float | None) -> str:
    return "" if value is None else f"{value / 1e3:.0f}"


def _mark(inconclusive: Sequence[str]) -> str:
    return "?" if inconclusive else ""


def scene_table(runs: Sequence[SceneRun]) -> str:
    """One line for each scene."""
    head = (
        *("link", "kbit/s", "estimate", "used", "frames/s", "heights", "freezes", "longest gap ms"),
        *("delay ms, p95", "queue p95 ms", "over 300 ms", "audio concealed", "undecoded", "idle", ""),
    )
    rows = []
    for run in runs:
        of = run.summary
        heights = ", ".join(f"{height}p {share:.0%}" for height, share in of.heights.items())
        rows.append(
            (
                *(run.scene.title, _kbps(of.received_bps), _kbps(of.estimate_bps)),
                "" if of.used_share is None else f"{of.used_share:.0%}",
                *(of.frames_per_s, heights, f"{of.freezes} ({of.freeze_s} s)", of.longest_gap_ms),
                *(f"{of.delay_ms}, {of.delay_p95_ms}", of.queue_p95_ms, f"{of.queue_over_300_ms_s} s"),
                *(f"{of.audio_concealed:.2%}", of.undecoded, f"{of.idle:.0%}", _mark(of.inconclusive)),
            )
        )
    return _table(head, rows)


def repair_table(runs: Sequence[SceneRun]) -> str:
    """What became of lost packets."""
    head = (
        "link",
        "lost on it",
        "overflowed",
        "lost video",
        "asked again",
        "sent again",
        "came again",
        "unrepaired",
        "given up",
    )
    rows = []
    for run in runs:
        of = run.summary.repair
        given_up = ", ".join(f"{name} {count}" for name, count in of.given_up.items())
        link = (of.lost_on_link, of.overflowed_on_link)
        video = (of.lost_video, of.asked_again, of.retransmitted, of.repaired, of.unrepaired)
        rows.append((run.scene.title, *link, *video, given_up or "none"))
    return _table(head, rows)


def slow_table(result: SlowResult) -> str:
    """The others, with and without the slow one."""
    rows = [
        (phase.name, _kbps(phase.others_bps), f"{phase.of_published:.3f}", _kbps(phase.slow_bps), phase.slow_height)
        for phase in result.phases
    ]
    table = _table(("phase", "others, kbit/s each", "of what is published", "slow one, kbit/s", "its height"), rows)
    return (
        f"{table}\n\nWith the slow one the others got {result.change:+.2%} (of what was published: "
        f"{result.change_of_published:+.2%}); without it, the two phases differ by {result.noise:.2%}. "
        f"{_mark(result.inconclusive)}"
    )


def switching_table(results: Sequence[SwitchingResult]) -> str:
    """One line for each codec."""
    head = (
        *("camera", "wishes", "changes of size", "longest gap ms", "gaps over 500 ms", "undecoded"),
        *("torn", "PLI", "freezes", "frames", "idle", ""),
    )
    rows = [
        (
            *(of.camera, of.wishes, of.resizes, of.longest_gap_ms, of.stalls, of.undecoded),
            *(of.torn, of.plis, of.freezes, of.frames, f"{of.idle:.0%}", of.skipped or _mark(of.inconclusive)),
        )
        for of in results
    ]
    return _table(head, rows)


def _circumstances() -> dict[str, Any]:
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": proc.machine(),
        "engine": {name: str(value) for name, value in _engine.build_info().items()},
    }


def write_scenes(folder: Path, runs: Sequence[SceneRun]) -> None:
    """JSON and pictures."""
    for run in runs:
        (folder / f"{run.scene.name}.svg").write_text(draw_run(run))
    write_json(folder / "scenes.json", [asdict(run) for run in runs])
    (folder / "scenes.md").write_text(f"{scene_table(runs)}\n\n{repair_table(runs)}\n\n{_remarks(runs)}")


def _remarks(runs: Sequence[SceneRun]) -> str:
    lines = [f"- ? {run.scene.title}: {'; '.join(run.summary.inconclusive)}" for run in runs]
    return "\n".join(line for line, run in zip(lines, runs, strict=True) if run.summary.inconclusive) + "\n"


def write_json(path: Path, value: object) -> None:
    """With what it was measured on."""
    path.write_text(json.dumps({**_circumstances(), "results": value}, indent=1) + "\n")
