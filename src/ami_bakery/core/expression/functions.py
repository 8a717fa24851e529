"""The functions of HCL2 that need nothing but their arguments, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ami_bakery.core.expression import collection_functions as collections
from ami_bakery.core.expression import text_functions as texts
from ami_bakery.values import Frozen

if TYPE_CHECKING:
    from ami_bakery.core.expression.values import Value


class Function(Frozen):
    """
    structural     it moves the items of its arguments about unseen, so that an unknown item spoils no other
    sees_checkout  what it does is the same wherever the checkout lies
    """

    call: Callable[..., Value]
    structural: bool = False
    sees_checkout: bool = False


def _plain(**functions: Callable[..., Value]) -> dict[str, Function]:
    return {name: Function(call=call) for name, call in functions.items()}


def _paths(**functions: Callable[..., Value]) -> dict[str, Function]:
    return {name: Function(call=call, sees_checkout=True) for name, call in functions.items()}


def _structural(**functions: Callable[..., Value]) -> dict[str, Function]:
    return {name: Function(call=call, structural=True, sees_checkout=True) for name, call in functions.items()}


FUNCTIONS: Mapping[str, Function] = {
    **_plain(
        lower=texts.lower,
        upper=texts.upper,
        title=texts.title,
        split=texts.split,
        regex_replace=texts.regex_replace,
        regex=texts.regex,
        regexall=texts.regexall,
        substr=texts.substr,
        strrev=texts.strrev,
        indent=texts.indent,
        trim=texts.trim,
        startswith=texts.startswith,
        endswith=texts.endswith,
        strcontains=texts.strcontains,
        parseint=texts.parseint,
        base64encode=texts.base64encode,
        base64decode=texts.base64decode,
        md5=texts.md5,
        sha1=texts.sha1,
        sha256=texts.sha256,
        sha512=texts.sha512,
        urlencode=texts.urlencode,
        jsonencode=texts.jsonencode,
        jsondecode=texts.jsondecode,
        csvdecode=texts.csvdecode,
        sort=collections.sort,
        range=collections.range_,
        min=collections.minimum,
        max=collections.maximum,
        sum=collections.total,
        abs=collections.absolute,
        ceil=collections.ceil,
        floor=collections.floor,
        signum=collections.signum,
        pow=collections.power,
        tonumber=collections.tonumber,
        tobool=collections.tobool,
        alltrue=collections.alltrue,
        anytrue=collections.anytrue,
    ),
    **_paths(
        basename=texts.basename,
        dirname=texts.dirname,
        join=texts.join,
        format=texts.format_,
        formatlist=texts.formatlist,
        replace=texts.replace,
        chomp=texts.chomp,
        trimspace=texts.trimspace,
        trimprefix=texts.trimprefix,
        trimsuffix=texts.trimsuffix,
        tostring=texts.tostring,
        coalesce=collections.coalesce,
        contains=collections.contains,
        index=collections.index,
        distinct=collections.distinct,
        toset=collections.toset,
        compact=collections.compact,
        setunion=collections.setunion,
        setintersection=collections.setintersection,
        setsubtract=collections.setsubtract,
        setproduct=collections.setproduct,
        zipmap=collections.zipmap,
    ),
    **_structural(
        concat=collections.concat,
        coalescelist=collections.coalescelist,
        lookup=collections.lookup,
        element=collections.element,
        merge=collections.merge,
        keys=collections.keys,
        values=collections.values,
        flatten=collections.flatten,
        reverse=collections.reverse,
        slice=collections.slice_,
        chunklist=collections.chunklist,
        length=collections.length,
        tolist=collections.tolist,
        tomap=collections.tomap,
    ),
}
