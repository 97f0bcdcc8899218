"""How long the same chunks took in each setting of a sweep, against one of them.

    python -m analysis collect DIR --chunks --out chunks.csv
    python docs/examples/chunk_times.py chunks.csv "no loss, transport h1"

Chunks are paired by trace and number, those of invalid links left out. Intervals: 95 % of 2,000 draws of
whole traces, which are what was sampled.
"""

import random
import sys
from collections import defaultdict
from statistics import fmean, median

from pyarrow import csv

DRAWS = 2000


def main(path: str, baseline: str) -> None:
    """Print a table."""
    times = defaultdict(dict)  # setting: {(trace, chunk): seconds}
    first_bytes = defaultdict(list)
    for row in csv.read_csv(path).to_pylist():
        if row["valid"]:
            times[row["setting"]][row["trace"], row["chunk"]] = row["download_s"]
            first_bytes[row["setting"]].append(1000 * row["ttfb_s"])
    if baseline not in times:
        sys.exit(f"no setting {baseline!r}; there are {', '.join(map(repr, times))}")
    print(f"{'setting':30} chunks  median s  first byte ms  longer than {baseline!r}")
    for setting, mine in times.items():
        ratios = defaultdict(list)  # trace: of its chunks
        for place in mine.keys() & times[baseline].keys():
            ratios[place[0]].append(mine[place] / times[baseline][place] - 1)
        low, high = interval(ratios)
        mean = fmean(ratio for trace in ratios.values() for ratio in trace)
        shown = f"{median(mine.values()):8.2f}  {median(first_bytes[setting]):13.0f}"
        print(f"{setting:30} {len(mine):6}  {shown}  {mean:+7.1%} ({low:+.1%} to {high:+.1%})")


def interval(ratios: dict) -> tuple[float, float]:
    """Of the mean, by drawing traces."""
    draw = random.Random(0)
    names = sorted(ratios)
    means = []
    for _ in range(DRAWS):
        drawn = [ratio for name in draw.choices(names, k=len(names)) for ratio in ratios[name]]
        means.append(fmean(drawn))
    means.sort()
    return means[int(0.025 * DRAWS)], means[int(0.975 * DRAWS)]


if __name__ == "__main__":
    main(*sys.argv[1:])
