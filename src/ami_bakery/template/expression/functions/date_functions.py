"""`formatdate()` and `timeadd()`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from ami_bakery.template.expression import cty
from ami_bakery.template.expression.cty import Cty, EvaluationError, Unsure

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:Z|([+-])(\d\d):(\d\d))")
_UNITS = {"h": 3600, "m": 60, "s": 1}


def _moment(value: Cty) -> datetime:
    found = _STAMP.fullmatch(value.raw)
    if not found:
        raise (Unsure if re.match(r"\d{4}-", value.raw) else EvaluationError)(
            "the string is not a timestamp of a known form"
        )
    zone = UTC
    if found[7]:
        offset = timedelta(hours=int(found[8]), minutes=int(found[9]))
        zone = timezone(offset if found[7] == "+" else -offset)
    try:
        return datetime(*(int(found[number]) for number in range(1, 7)), tzinfo=zone)  # type: ignore[arg-type,misc]
    except ValueError:
        raise EvaluationError("the timestamp does not exist") from None


def timeadd(moment: Cty, duration: Cty) -> Cty:
    start = _moment(moment)
    if not re.fullmatch(r"[+-]?(?:\d{1,9}[hms])+", duration.raw):
        raise Unsure("only Packer can read the duration")
    seconds = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([hms])", duration.raw))
    try:
        end = start + timedelta(seconds=-seconds if duration.raw.startswith("-") else seconds)
    except OverflowError:
        raise Unsure("the timestamp is out of range") from None
    if end.year < 1000:
        raise Unsure("the timestamp is out of range")
    return cty.text(end.strftime("%Y-%m-%dT%H:%M:%S") + _zone(end, "Z"))


def formatdate(form: Cty, moment: Cty) -> Cty:
    when = _moment(moment)
    result: list[str] = []
    for found in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']|'", form.raw):
        verb = found[0]
        if verb == "'":
            raise EvaluationError("a quote in the format is not closed")
        if verb.startswith("'"):
            result.append(verb[1:-1].replace("''", "'"))
        elif found[1]:
            result.append(_verb(verb, when))
        else:
            result.append(verb)
    return cty.text("".join(result))


def _verb(verb: str, when: datetime) -> str:
    half = (when.hour + 11) % 12 + 1
    known = {
        "YYYY": f"{when.year:04d}",
        "YY": f"{when.year % 100:02d}",
        "MMMM": _MONTHS[when.month - 1],
        "MMM": _MONTHS[when.month - 1][:3],
        "MM": f"{when.month:02d}",
        "M": str(when.month),
        "DD": f"{when.day:02d}",
        "D": str(when.day),
        "EEEE": _DAYS[when.weekday()],
        "EEE": _DAYS[when.weekday()][:3],
        "hh": f"{when.hour:02d}",
        "h": str(when.hour),
        "HH": f"{half:02d}",
        "H": str(half),
        "AA": "PM" if when.hour >= 12 else "AM",
        "aa": "pm" if when.hour >= 12 else "am",
        "mm": f"{when.minute:02d}",
        "m": str(when.minute),
        "ss": f"{when.second:02d}",
        "s": str(when.second),
    }
    if verb in known:
        return known[verb]
    if verb in ("Z", "ZZZZ", "ZZZZZ"):
        return _zone(when, verb)
    if verb == "ZZZ":
        return "UTC" if not when.utcoffset() else _zone(when, "ZZZZ")
    raise EvaluationError("the format has an unknown verb")


def _zone(when: datetime, verb: str) -> str:
    offset = when.utcoffset() or timedelta()
    if not offset:
        return {"ZZZZ": "+0000", "ZZZZZ": "+00:00"}.get(verb, "Z")
    minutes = int(offset.total_seconds()) // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    colon = "" if verb == "ZZZZ" else ":"
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
