"""How long is the solar cycle, and how sure can one be?

The strongest period of the yearly sunspot numbers is the peak of their
periodogram. A moving-block bootstrap tells how far that peak would wander if
the Sun had rolled its dice again: blocks of BLOCK successive years are drawn at
random, laid end to end to a series as long as the real one, and its peak is
found in the same way. This needs nothing but the standard library.
"""

import math
import operator
import random

BLOCK = 77  # years: about seven cycles, so most of a block's cycles stay whole
PERIODS = [8 + i * 0.025 for i in range(241)]  # 8 to 14 years

_waves = {}


def waves(n):
    """The cosine and sine of every period over n years."""
    if n not in _waves:
        angles = [2 * math.pi / p for p in PERIODS]
        _waves[n] = [([math.cos(w * t) for t in range(n)], [math.sin(w * t) for t in range(n)]) for w in angles]
    return _waves[n]


def strongest_period(numbers):
    """The period, in years, at which the periodogram of numbers peaks."""
    mean = sum(numbers) / len(numbers)
    series = [x - mean for x in numbers]
    best, power = 0.0, -1.0
    for period, (cosine, sine) in zip(PERIODS, waves(len(series))):
        c = sum(map(operator.mul, series, cosine))
        s = sum(map(operator.mul, series, sine))
        if c * c + s * s > power:
            best, power = period, c * c + s * s
    return best


def resample(numbers, dice):
    """A series of the same length, made of random blocks of numbers."""
    series = []
    while len(series) < len(numbers):
        start = dice.randrange(len(numbers) - BLOCK + 1)
        series += numbers[start : start + BLOCK]
    return series[: len(numbers)]


def bootstrap(numbers, seed, count):
    """The strongest periods of count resampled series; seed fixes the dice."""
    dice = random.Random(seed)
    return [strongest_period(resample(numbers, dice)) for _ in range(count)]
