"""One measured value, and its text: `key:value|OP|tag=v,…`. Pure.

* `key` is 1 to 128 letters, digits and `_.@%+-`, the first a letter, digit or `_`.
* `value` is a decimal number of at most 1e100 either way.
* `OP` is `A`, values are averaged, or `D`, values are of a counter and count as their difference
  per second.
* Tags are optional, up to 16, each name once. A name is 1 to 64 letters, digits and `_.-`; a value
  is 1 to 128 printable characters other than `,` and `|`. The tag `id` names the instance: the
  disk, the job.

A text has at most 1024 characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from corex_shared.errors import CorexError

LONGEST_TEXT = 1024
LARGEST_VALUE = 1e100
"""So that no sum of values, however many, is infinite."""
MOST_TAGS = 16
ID = "id"
"""The tag that names the instance."""

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@%+-]{0,127}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_LONGEST_NUMBER = 64
_TAG_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LONGEST_TAG = 128
_SHAPES = 4096
"""Samples that are remembered but for their values."""

Tags = tuple[tuple[str, str], ...]


class Op(StrEnum):
    """How samples are aggregated."""

    AVERAGE = "A"
    DIFFERENCE = "D"


_OPS = {str(op): op for op in Op}
_Shape = tuple[Op, str, str, Tags]


class SampleError(CorexError, ValueError):
    """A sample that is not taken; the message begins with the part at fault."""


class Sample(Struct, frozen=True, gc=False):
    """One measured value; `tags` are in order of their names, without `id`."""

    op: Op
    key: str
    value: float
    instance_id: str = ""
    tags: Tags = ()


def make_sample(
    op: str,
    key: str,
    value: float,
    instance_id: str = "",
    tags: Mapping[str, str] | None = None,
) -> Sample:
    """Make a sample of its parts.

    Args:
        op: `A` or `D`.
        key: of the metric.
        value: measured now.
        instance_id: of what was measured, empty for none.
        tags: more that tells it from others.

    Raises:
        SampleError: a part cannot be used.
    """
    pairs = dict(tags or {})
    if ID in pairs:
        raise SampleError("tags: id: it is given as instance_id")
    if instance_id:
        pairs[ID] = instance_id
    known, key, instance_id, named = _checked_shape(op, key, list(pairs.items()))
    sample = Sample(known, key, _checked_value(value), instance_id, named)
    if len(format_sample(sample)) > LONGEST_TEXT:
        raise SampleError(f"sample: at most {LONGEST_TEXT} characters")
    return sample


def parse_sample(text: str) -> Sample:
    """Read a sample.

    Raises:
        SampleError: it is none.
    """
    if len(text) > LONGEST_TEXT:
        raise SampleError(f"sample: at most {LONGEST_TEXT} characters")
    head, _, rest = text.partition("|")
    key, _, number = head.partition(":")
    if len(number) > _LONGEST_NUMBER or _NUMBER.fullmatch(number) is None:
        raise SampleError("value: a decimal number expected")
    op, key, instance_id, tags = _shape(key, rest)
    return Sample(op, key, _checked_value(float(number)), instance_id, tags)


@lru_cache(_SHAPES)
def _shape(key: str, rest: str) -> _Shape:
    """Read all but the value; remembered, as most samples differ in that only."""
    op, _, tail = rest.partition("|")
    pairs = [_pair(tag) for tag in tail.split(",")] if tail else []
    return _checked_shape(op, key, pairs)


def format_sample(sample: Sample) -> str:
    """Write a sample, so that reading it gives the same one."""
    tags = [f"{name}={value}" for name, value in sample.tags]
    if sample.instance_id:
        tags.insert(0, f"{ID}={sample.instance_id}")
    text = f"{sample.key}:{sample.value!r}|{sample.op}"
    return f"{text}|{','.join(tags)}" if tags else text


def tag_text(text: str) -> str:
    """Make a tag's value of any text, such as a path; what is not allowed becomes `_`."""
    fit = "".join(mark if mark.isprintable() and mark not in ",|" else "_" for mark in text)
    return fit[:_LONGEST_TAG] or "_"


def _pair(tag: str) -> tuple[str, str]:
    name, _, value = tag.partition("=")
    return name, value


def _checked_value(value: float) -> float:
    """Make a float of a number, of any size."""
    if not -LARGEST_VALUE <= value <= LARGEST_VALUE:  # nor NaN
        raise SampleError(f"value: at most {LARGEST_VALUE:g} either way")
    return float(value)


def _checked_shape(op: str, key: str, pairs: list[tuple[str, str]]) -> _Shape:
    if _KEY.fullmatch(key) is None:
        raise SampleError("key: 1 to 128 letters, digits and _.@%+- expected")
    known = _OPS.get(op)
    if known is None:
        raise SampleError("op: A or D expected")
    return known, key, *_checked_tags(pairs)


def _checked_tags(pairs: list[tuple[str, str]]) -> tuple[str, Tags]:
    """Tell the instance from the other tags."""
    if len(pairs) > MOST_TAGS:
        raise SampleError(f"tags: at most {MOST_TAGS}")
    for name, value in pairs:
        if _TAG_NAME.fullmatch(name) is None:
            raise SampleError("tags: a name of 1 to 64 letters, digits and _.- expected")
        if not 0 < len(value) <= _LONGEST_TAG or not value.isprintable():
            raise SampleError(f"tags: {name}: 1 to {_LONGEST_TAG} printable characters expected")
        if "," in value or "|" in value:
            raise SampleError(f"tags: {name}: neither , nor | may be in it")
    if len(pairs) == 1 and pairs[0][0] == ID:
        return pairs[0][1], ()
    named = dict(pairs)
    if len(named) < len(pairs):
        raise SampleError("tags: each name once")
    instance_id = named.pop(ID, "")
    return instance_id, tuple(sorted(named.items()))
