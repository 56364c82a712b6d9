"""Ingest: a Kafka topic learned, published and committed, beside the least that any reader does, beside the kernels alone
on ready arrays, and beside River and ISGD in memory.

`bare`: consume(), value(), typed decode. `plain`: biased MF as River's. `rating`, `ranking`: the defaults. `unblended`: kernels
of ranking by gradient factors alone. What the blend's kernels cost on logs of other kinds, `quality` measures.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import harmonic_mean
from typing import Final

import msgspec

from scripts.benchmarks.broker import broker, produce
from scripts.benchmarks.child import Found, Job, Part, measure
from scripts.benchmarks.data import MOVIELENS, zipf_events
from scripts.benchmarks.report import Bar, Report, ratios, say
from scripts.benchmarks.settings import FACTORS, Setting

DEFAULTS: Final[tuple[Setting, ...]] = ("rating", "ranking")
SETTINGS: Final[tuple[Setting, ...]] = ("plain", *DEFAULTS)
TOPIC: Final = "bench-ingest"

#: (part, setting, on MovieLens) → what each run found.
Results = Mapping[tuple[Part, Setting, bool], list[Found]]


def run(command: str, events: int, runs: int, data: Path | None) -> Report:
    """Measure everything `runs` times, in turns."""
    report = Report(f"ingest: {events:,} JSON events, 100,000 users × 20,000 items, k = {FACTORS}, {runs} runs", command)
    found: dict[tuple[Part, Setting, bool], list[Found]] = defaultdict(list)
    real = data is not None and (data / MOVIELENS).is_file()
    with tempfile.TemporaryDirectory(prefix="streammf-bench-") as name:
        folder = Path(name)
        with broker(folder / "kafka") as address:
            say(f"producing {events:,} events ...")
            topic = f"{TOPIC}-{folder.name}"
            produce(address, topic, zipf_events(events))
            for turn in range(runs):
                for job in jobs(events, Job(part="bare", address=address, topic=topic, folder=name), data if real else None):
                    say(f"run {turn + 1} of {runs}: {job.part} {job.setting} {'MovieLens' if job.data else ''}")
                    found[job.part, job.setting, bool(job.data)].append(measure(job))
    throughput(report, found, events)
    if real:
        on_movielens(report, found)
    else:
        report.notes.append(f"nothing on MovieLens: --data or STREAMMF_TEST_DATA names no folder that holds {MOVIELENS}")
    return report


def jobs(events: int, base: Job, data: Path | None) -> list[Job]:
    """What one run measures, in its order: what is compared stands side by side."""
    with_events = msgspec.structs.replace(base, events=events)
    todo: list[tuple[Part, Setting]] = [("bare", "plain"), ("whole", "plain"), ("arrays", "plain"), ("ids", "plain")]
    todo += [("river", "plain"), ("isgd", "ranking")]
    for setting in DEFAULTS:
        todo += [("arrays", setting), ("whole", setting), ("arrays", setting), ("ids", setting)]  # see `both_sides`
    todo.append(("arrays", "unblended"))
    made = [msgspec.structs.replace(with_events, part=part, setting=setting) for part, setting in todo]
    if data is not None:
        on_real = msgspec.structs.replace(base, data=str(data))
        real: list[tuple[Part, Setting]] = [("arrays", setting) for setting in (*DEFAULTS, "unblended")]
        real += [("rmse", "plain"), ("river rmse", "plain")]
        made += [msgspec.structs.replace(on_real, part=part, setting=setting) for part, setting in real]
    return made


def throughput(report: Report, found: Results, events: int) -> None:
    """Events a second and their ratios."""

    def rate(part: Part, setting: Setting) -> list[float]:
        return [events / one.number for one in found[part, setting, False]]

    bare, river = rate("bare", "plain"), rate("river", "plain")
    report.add("bare loop: consume, value, decode", bare, "events/s")
    report.add("River BiasedMF, in memory", river, "events/s")
    isgd = rate("isgd", "ranking")
    report.add("ISGD in NumPy, in memory", isgd, "events/s")
    for setting in SETTINGS:
        whole, arrays = rate("whole", setting), rate("arrays", setting)
        report.add(f"{setting}: whole trainer", whole, "events/s", note="Kafka → durable and visible")
        report.add(f"{setting}: ids and kernels, in memory", rate("ids", setting), "events/s")
        report.add(f"{setting}: kernels, ready arrays", arrays, "events/s")
        micros = [1e6 / n for n in arrays]
        report.add(f"{setting}: kernel", micros, "µs an event", None if setting == "plain" else Bar("at most", 15))
        if setting == "plain":
            report.add("plain: trainer / bare loop", ratios(whole, bare), "", Bar("at least", 0.5))
            report.add("plain: trainer / River", ratios(whole, river), "", Bar("at least", 1))
            report.add("plain: kernels / River", ratios(arrays, river), "", Bar("at least", 4))
        else:
            report.add(f"{setting}: trainer / kernels", ratios(whole, both_sides(arrays)), "", Bar("at least", 0.75))
        if setting == "ranking":
            report.add("ranking: trainer / ISGD in NumPy", ratios(whole, isgd), "")
        busy = [1e6 * one.busy / events for one in found["whole", setting, False]]
        report.add(f"{setting}: trainer's processor time", busy, "µs an event", note="all threads, start included")
    report.add("unblended: kernel", [1e6 / n for n in rate("arrays", "unblended")], "µs an event", Bar("at most", 15))


def both_sides(rates: list[float]) -> list[float]:
    """What was measured before and after something else, as one rate a run: a host changes within seconds."""
    return [harmonic_mean(rates[n : n + 2]) for n in range(0, len(rates), 2)]


def on_movielens(report: Report, found: Results) -> None:
    """What is measured on MovieLens-100K."""
    ours = [one.number for one in found["rmse", "plain", True]]
    river = [one.number for one in found["river rmse", "plain", True]]
    report.add("MovieLens: plain, one-pass RMSE", ours, "stars")
    report.add("MovieLens: River, one-pass RMSE", river, "stars")
    gaps = [a - b for a, b in zip(ours, river, strict=True)]
    report.add("MovieLens: RMSE, ours - River's", gaps, "stars", Bar("at most", 0.003))
    for setting in (*DEFAULTS, "unblended"):
        micros = [10 * one.number for one in found["arrays", setting, True]]  # 1e6 µs a second, 1e5 events
        report.add(f"MovieLens: {setting} kernel", micros, "µs an event", Bar("at most", 12))
