"""Figures that others published: how chips and trainings grew, and how much text there is.

Each row names its source, so that a reader can look it up; nothing here was measured by the course.
"""

from dataclasses import dataclass
from math import log2


@dataclass(frozen=True)
class Figure:
    """One published number: what it is of, the year with its months as a fraction, the value, and who
    says so.

    >>> Figure("a chip", 1971.9, 2300, "its maker").value
    2300
    """

    name: str
    year: float
    value: float
    source: str


# Transistors of one processor.
TRANSISTORS = (
    Figure("4004", 1971.9, 2.3e3, "Intel"),
    Figure("8086", 1978.5, 2.9e4, "Intel"),
    Figure("80386", 1985.8, 2.75e5, "Intel"),
    Figure("Pentium", 1993.2, 3.1e6, "Intel"),
    Figure("Pentium 4", 2000.9, 4.2e7, "Intel"),
    Figure("V100", 2017.4, 2.11e10, "NVIDIA, V100 whitepaper"),
    Figure("H100", 2022.2, 8e10, "NVIDIA, H100 whitepaper"),
)

# Floating-point operations of one training.
TRAININGS = (
    Figure("BERT-Large", 2018.8, 5.33e20, "Brown et al. 2020, table D.1"),
    Figure("RoBERTa-Large", 2019.6, 4.26e21, "Brown et al. 2020, table D.1"),
    Figure("T5-11B", 2019.8, 3.30e22, "Brown et al. 2020, table D.1"),
    Figure("GPT-3", 2020.4, 3.14e23, "Brown et al. 2020, table D.1"),
    Figure("Chinchilla", 2022.2, 5.76e23, "Hoffmann et al. 2022"),
    Figure("PaLM", 2022.3, 2.53e24, "Chowdhery et al. 2022 (6ND of 540 B and 780 B)"),
    Figure("Llama 3 405B", 2024.6, 3.8e25, "Llama team 2024"),
)

# The best number of parameters for 5.76e23 FLOP, as Hoffmann et al. 2022 print it for each of their
# three approaches.
APPROACHES = {
    "1: lowest of all curves": 67e9,
    "2: IsoFLOP": 63e9,
    "3: one formula": 40e9,
}


def doubling_time(figures: tuple[Figure, ...]) -> float:
    """The years in which such figures double, by a line of least squares in the logarithm.

    >>> doubling_time((Figure("a", 2000.0, 1, ""), Figure("b", 2004.0, 4, "")))
    2.0
    """
    years = [figure.year for figure in figures]
    logs = [log2(figure.value) for figure in figures]
    year = sum(years) / len(years)
    rate = sum((a - year) * b for a, b in zip(years, logs, strict=True))
    return sum((a - year) ** 2 for a in years) / rate
