"""`python3 tests/soak/test_slopes.py`: a leak is seen, and noise is none."""

import random
import unittest

from slopes import Gauge, verdict

GAUGE = Gauge("memory", "MiB", 16, 6)


def samples(slope, noise, seconds=600):
    dice = random.Random(1)
    return [(second, 30 + slope * second / 3600 + dice.gauss(0, noise)) for second in range(seconds)]


class Slopes(unittest.TestCase):
    def test_a_leak_is_one_and_what_is_flat_or_noisy_is_none(self):
        for slope, noise, leaks in [(0, 1, False), (0, 10, False), (10, 0.1, False), (120, 1, True), (120, 3, True), (-50, 1, False)]:
            with self.subTest(slope=slope, noise=noise):
                self.assertIs(verdict(GAUGE, samples(slope, noise))[1], leaks)

    def test_a_short_run_does_not_take_the_first_pages_for_a_leak(self):
        self.assertIs(verdict(GAUGE, samples(600, 0.5, seconds=12))[1], False)

    def test_the_bound_holds_the_true_slope(self):
        said, _ = verdict(GAUGE, samples(100, 2))
        slope, _, bound = said.split(": ")[1].split(" MiB")[0].partition(" ± ")
        self.assertLess(abs(float(slope) - 100), 2 * float(bound))


unittest.main()
