"""Attribute conditions as a person types them: genre=Drama, genre=Drama|Comedy, genre!=Horror, year>=1990."""

import math
import re

from penchant.errors import InvalidArgument
from penchant.leaves import Condition

_CONDITION = re.compile(r"(?P<attribute>[^=!<>]+)(?P<sign>!=|>=|<=|=)(?P<value>.*)", re.DOTALL)


def read_condition(text: str) -> Condition:
    """One condition. Raises InvalidArgument naming what may be written."""
    match = _CONDITION.fullmatch(text)
    if match is None or not match["value"]:
        raise InvalidArgument("filter", f"{text!r} is no condition: write NAME=VALUE, NAME!=VALUE, NAME>=N or NAME<=N")
    attribute, sign, value = match["attribute"].strip(), match["sign"], match["value"]
    if sign in (">=", "<="):
        try:
            bound = float(value)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise InvalidArgument("filter", f"{text!r}: {value!r} is no number")
        return Condition(attribute, minimum=bound) if sign == ">=" else Condition(attribute, maximum=bound)
    return Condition(attribute, tuple(value.split("|")), negate=sign == "!=")
