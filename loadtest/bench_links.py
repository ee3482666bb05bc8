"""What a Chromium sees behind real links, limited and lossy: `python -m loadtest.bench_links`.

Three parts, all by default: `scenes` (bitrate, frames a second, freezes and delay against the link, 60 s each), `slow`
(one slow receiver among ten) and `switching` (200 layer switches a minute for each codec). Writes JSON, tables and a
picture for each scene. Needs root (network namespaces) and Chromium. See `loadtest/links`.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from loadtest.bench import require_release
from loadtest.links import report
from loadtest.links.camera import CAMERAS, Camera
from loadtest.links.scene_run import run_scene
from loadtest.links.scenes import Scene, find_scenes
from loadtest.links.slow_receiver import run_slow_receiver
from loadtest.links.stage import missing, open_stage
from loadtest.links.switching import run_switching

PARTS = ("scenes", "slow", "switching")


async def run_scenes(folder: Path, scenes: Sequence[Scene], seconds: float) -> None:
    """All on one stage; what is done is written after each."""
    runs = []
    async with open_stage(Camera()) as stage:
        for scene in scenes:
            print(f"scene {scene.name}: {scene.title}, seed {scene.seed}, {seconds:g} s", flush=True)
            runs.append(await run_scene(stage, scene, seconds))
            report.write_scenes(folder, runs)
    print((folder / "scenes.md").read_text())


async def run_slow(folder: Path, seconds: float) -> None:
    """One slow receiver among ten."""
    async with open_stage(Camera()) as stage:
        result = await run_slow_receiver(stage, seconds)
    report.write_json(folder / "slow.json", asdict(result))
    (folder / "slow.md").write_text(report.slow_table(result) + "\n")
    print((folder / "slow.md").read_text())


async def run_switches(folder: Path, cameras: Sequence[Camera], seconds: float) -> None:
    """Each codec on a stage of its own."""
    results = []
    for camera in cameras:
        print(f"switching {camera.name}, {seconds:g} s", flush=True)
        results.append(await run_switching(camera, seconds))
        report.write_json(folder / "switching.json", [asdict(result) for result in results])
        (folder / "switching.md").write_text(report.switching_table(results) + "\n")
    print((folder / "switching.md").read_text())


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="all by default")
    parser.add_argument("--scenes", default="all", help="names with commas between")
    parser.add_argument("--codecs", default="VP8,H264,VP9,AV1", help="names with commas between")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=report.FOLDER)
    options = parser.parse_args(arguments)
    if lacking := missing():
        print(f"bench_links: skipped: {lacking}")
        return
    require_release()
    options.out.mkdir(parents=True, exist_ok=True)
    parts, scenes = options.parts or PARTS, find_scenes(options.scenes)
    if "scenes" in parts:
        asyncio.run(run_scenes(options.out, scenes, options.seconds))
    if "slow" in parts:
        asyncio.run(run_slow(options.out, options.seconds))
    if "switching" in parts:
        cameras = [camera for camera in CAMERAS if camera.codec in options.codecs.split(",")]
        asyncio.run(run_switches(options.out, cameras, options.seconds))


if __name__ == "__main__":
    main()
