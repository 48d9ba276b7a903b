"""Two things measured in turn, and what came of it.

Machines are noisy and shared: only the ratio of two things measured side by side says something.
So A and B take turns (A B A B …), each A is set against the B that followed it, and the median
of those ratios is the figure.
"""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

_OPERATORS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio should be: `>=` or `<=` a bound."""

    relation: str
    bound: float

    def is_met_by(self, value: float) -> bool:
        """Whether a value is as it should be."""
        return bool(_OPERATORS[self.relation](value, self.bound))

    def __str__(self) -> str:
        return f"{self.relation} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: A and B of each pair.

    Attributes:
        figure: what was measured.
        unit: of A and B.
        a: name of A, which is corex as a rule.
        b: name of B, which it is set against.
        a_values: A of each pair.
        b_values: B of each pair, as many.
        target: what A divided by B should be.
    """

    figure: str
    unit: str
    a: str
    b: str
    a_values: Sequence[float]
    b_values: Sequence[float]
    target: Target

    @property
    def ratios(self) -> list[float]:
        """A divided by B of each pair."""
        return [a / b for a, b in zip(self.a_values, self.b_values, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        """Whether the median is as it should be."""
        return self.target.is_met_by(self.ratio)

    def as_map(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {
            "figure": self.figure,
            "unit": self.unit,
            "a": {"name": self.a, "values": list(self.a_values)},
            "b": {"name": self.b, "values": list(self.b_values)},
            "ratios": self.ratios,
            "ratio": self.ratio,
            "target": str(self.target),
            "met": self.is_met,
        }


def in_turn(a: Callable[[], A], b: Callable[[], B], pairs: int) -> tuple[list[A], list[B]]:
    """Measure A B A B … and return what each gave, in order."""
    measured = [(a(), b()) for _ in range(pairs)]
    return [first for first, _ in measured], [second for _, second in measured]
