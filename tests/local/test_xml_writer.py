"""Long answers are written as xmltodict writes the others."""

from __future__ import annotations

from typing import Any

import pytest
import xmltodict  # type: ignore[import-untyped]

from ami_bakery.local.ec2.xml_writer import written

ANSWER = {
    "DescribeImagesResponse": {
        "@xmlns": 'http://ec2.amazonaws.com/doc/"2016"&',
        "imagesSet": {
            "item": [
                {"name": "<app> & 'co'", "public": "false", "tagSet": {"item": [{"key": "a", "value": ""}]}},
                {"name": "äpp\n", "size": 8, "tagSet": "", "reason": None, "more": {}, "none": []},
            ]
        },
        "requestId": "1",
    }
}


def test_it_is_what_xmltodict_writes() -> None:
    assert written(ANSWER) == xmltodict.unparse(ANSWER, full_document=True, short_empty_elements=True)


@pytest.mark.parametrize("value", [1.5, True, b"x", object()])
def test_what_ec2_does_not_answer_with_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^size is neither a text nor a number"):
        written({"answer": {"size": value}})
