"""The XML writer's output is the same as xmltodict's."""

from __future__ import annotations

from typing import Any

import pytest
import xmltodict  # type: ignore[import-untyped]

from ami_bakery.local.ec2.xml_writer import to_xml

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


def test_xml_is_the_same_as_xmltodicts() -> None:
    assert to_xml(ANSWER) == xmltodict.unparse(ANSWER, full_document=True, short_empty_elements=True)


@pytest.mark.parametrize("value", [1.5, True, b"x", object()])
def test_unsupported_xml_values_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^size is neither text, number nor elements"):
        to_xml({"answer": {"size": value}})
