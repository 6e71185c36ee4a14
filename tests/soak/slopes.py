"""Whether a gauge goes up: a line through its samples, and how sure that is.

Samples a second apart are much alike, which would make any line look sure. So the line goes through the means of blocks,
which are nearly independent.
"""

import math
from dataclasses import dataclass

BLOCKS = 20
# Of Student's distribution, two-sided 95 %, for as many degrees of freedom as blocks less two.
STUDENT = {3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 8: 2.31, 10: 2.23, 13: 2.16, 18: 2.10}


@dataclass
class Gauge:
    name: str
    unit: str
    # More an hour is a leak.
    limit: float
    # Less in the whole run is none, however steep: memory comes in pieces.
    noise: float


def student(freedom):
    return next(STUDENT[known] for known in sorted(STUDENT, reverse=True) if known <= freedom)


def blocks(samples, count=BLOCKS):
    """The mean time and the mean value of each of so many pieces."""
    count = min(count, len(samples) // 2)
    edges = [len(samples) * index // count for index in range(count + 1)]
    pieces = [samples[low:high] for low, high in zip(edges, edges[1:])]
    return [(sum(x for x, _ in piece) / len(piece), sum(y for _, y in piece) / len(piece)) for piece in pieces]


def line(points):
    """The slope through the points, and how far off it may be."""
    middle = [sum(values) / len(points) for values in zip(*points)]
    spread = sum((x - middle[0]) ** 2 for x, _ in points)
    slope = sum((x - middle[0]) * (y - middle[1]) for x, y in points) / spread
    rest = sum((y - middle[1] - slope * (x - middle[0])) ** 2 for x, y in points)
    freedom = len(points) - 2
    return slope, student(freedom) * math.sqrt(rest / freedom / spread)


def verdict(gauge, samples):
    """What to print, and whether it leaks: surely more than the limit, and more than noise in this run."""
    slope, bound = line(blocks(samples))
    lasted = samples[-1][0] - samples[0][0]
    leaks = (slope - bound) * 3600 > gauge.limit and slope * lasted > gauge.noise
    unit = f" {gauge.unit}" if gauge.unit else ""
    mean = sum(value for _, value in samples) / len(samples)
    text = f"{gauge.name}: {slope * 3600:+.1f} ± {bound * 3600:.1f}{unit} an hour, {mean:.1f}{unit} in the mean"
    return text, leaks
