"""Answers one API request: credentials, policy, injected faults, moto, report."""

from __future__ import annotations

import datetime  # noqa: TC003 (msgspec needs it)
import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, assert_never

import msgspec
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError
from moto.core.request import Request
from moto.core.utils import get_service_model
from moto.ec2.utils import random_ami_id
from moto.iam.responses import IamResponse
from moto.sts.responses import TokenResponse
from werkzeug.exceptions import HTTPException

from ami_bakery.local import iam_requests
from ami_bakery.local.autoscaling.group_actions import GroupActions
from ami_bakery.local.ec2.instance_actions import EmbeddedEc2, InstanceHost
from ami_bakery.local.ec2.local_images import seed_image
from ami_bakery.local.ec2.moto_state import MotoState
from ami_bakery.local.faults import FaultKind, FaultPlan
from ami_bakery.local.http import endpoint
from ami_bakery.local.http.api_request import ApiRequest, ParsedRequest, parse_request
from ami_bakery.local.http.response import Protocol, Response, error
from ami_bakery.local.http.signature import is_signed_with
from ami_bakery.local.iam_policy import PolicyRequest
from ami_bakery.local.local_settings import Behaviour, LocalSettings
from ami_bakery.local.recorder import ApiCall, Recorder
from ami_bakery.local.ssm.parameter_actions import ParameterActions

if TYPE_CHECKING:
    pass

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
_ERROR_CODE = re.compile(r'<Code>([^<]+)</Code>|"__type": *"(?:[^"#]*#)?([^"]+)"')
_REFUSALS = {
    Protocol.EC2: ("UnauthorizedOperation", 403),
    Protocol.JSON: ("AccessDeniedException", 400),
    Protocol.QUERY: ("AccessDenied", 403),
    Protocol.XML: ("AccessDenied", 403),
}
_NEEDS_NO_CREDENTIALS = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})


class SeedImage(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An existing AMI to add.

    id         empty: a new id
    owner      its account; empty: the first account. An AMI of another account is public
    alias      the owner's alias, such as ``amazon``
    parameter  the name of an SSM parameter that gets its id; empty for none
    created    when it was created, such as ``2026-01-31T12:00:00Z``; None: now
    source     the AMI that it was created from; empty for none
    """

    name: str
    tags: dict[str, str] = {}
    id: str = ""
    owner: str = ""
    alias: str = ""
    description: str = ""
    architecture: str = "x86_64"
    root_device: str = "/dev/sda1"
    volume_type: str = "gp2"
    parameter: str = ""
    created: datetime.datetime | None = None
    source: str = ""


class SeedImages(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The body of `POST /images` of the control URL."""

    region: str
    images: list[SeedImage]


class Service:
    """Answers API requests in place of AWS.

    note  prints a line, once for each request that is not supported
    """

    def __init__(
        self, settings: LocalSettings, host: InstanceHost, recorder: Recorder, note: Callable[[str], None]
    ) -> None:
        self.behaviour = Behaviour.of(settings)
        self.faults = FaultPlan()
        self.recorder = recorder
        self._settings = settings
        self._host = host
        self._note = note
        self._noted: set[str] = set()
        self._noted_lock = threading.Lock()
        self._state = MotoState(self.behaviour)
        self._generation = 0

    def reset(self) -> None:
        """Restores the initial state: public AMIs only, no faults, an empty report, the first settings."""
        # Requests from before the reset that still wait must not change the new state.
        self._generation += 1
        self.faults.clear()
        self._state.clear()
        self.recorder.clear()
        first = Behaviour.of(self._settings)
        for name in Behaviour.__slots__:
            setattr(self.behaviour, name, getattr(first, name))

    def seed(self, seed: SeedImages) -> list[str]:
        """Adds AMIs; returns their ids. Raises ValueError, and adds none, if a name or an id is in use."""
        with self._state:
            account = self._settings.accounts[0].account_id
            backend = self._state.backend(account, seed.region)
            names = [*(ami.name for ami in backend.amis.values()), *(image.name for image in seed.images)]
            if len(set(names)) != len(names):
                raise ValueError("an AMI name can be used once")
            ids = [image.id or random_ami_id() for image in seed.images]
            if len({*backend.amis, *ids}) != len(backend.amis) + len(ids):
                raise ValueError("an AMI id can be used once")
            for image, ami_id in zip(seed.images, ids, strict=True):
                ami = seed_image(backend, ami_id, image)
                backend.amis[ami.id] = ami
                ami.add_tags(image.tags)
                if image.parameter:
                    self._state.parameters(account, seed.region).add_public(image.parameter, ami.id)
            return ids

    def answer(self, request: ApiRequest) -> Response | None:
        """Answers a request; None if a fault drops the connection."""
        parsed = parse_request(request, self._generation)
        account = self._account(request)
        if account or parsed.action in _NEEDS_NO_CREDENTIALS:
            answer = self._answer_authenticated(request, parsed, account)
        else:
            answer = _refuse_credentials(request, parsed)
        if parsed.generation == self._generation:
            self.recorder.call(
                ApiCall(
                    service=parsed.endpoint.service,
                    action=parsed.action,
                    region=parsed.endpoint.region,
                    account=account,
                    status=answer.status if answer else 0,
                    error=answer.error if answer else "connection dropped",
                    agent=request.headers.get("user-agent", ""),
                )
            )
        return answer

    def _answer_authenticated(self, request: ApiRequest, parsed: ParsedRequest, account: str) -> Response | None:
        """Answers a request of a known account: policy refusal, injected fault, or result."""
        refusal = self._refused_by_policy(parsed, account)
        if refusal is not None:
            return refusal
        released = self.faults.released
        fault = self.faults.next(parsed.action, parsed.endpoint.region, request.headers.get("user-agent", ""))
        if fault is None:
            return self._carry_out(request, parsed, account)
        match fault.kind:
            case FaultKind.ERROR:
                text = fault.text(parsed.endpoint.service, parsed.action)
                return error(parsed.protocol, fault.code, text, fault.http_status())
            case FaultKind.DROP_BEFORE:
                return None
            case FaultKind.DROP_AFTER:
                self._carry_out(request, parsed, account)
                return None
            case FaultKind.HANG:
                self.faults.hold(released, fault.seconds)
                return None
            case FaultKind.DELAY:
                answer = self._carry_out(request, parsed, account)
                self.faults.hold(released, fault.seconds)
                return answer
        assert_never(fault.kind)

    def _refused_by_policy(self, parsed: ParsedRequest, account: str) -> Response | None:
        """Returns the policy's refusal; None if it allows the call. It applies only to the first account."""
        allowed, service, region = self.behaviour.policy, parsed.endpoint.service, parsed.endpoint.region
        if allowed is None or account != self._settings.accounts[0].account_id:
            return None
        with self._state:
            backend = self._state.backend(account, region)
            names = {pair.id: name for name, pair in backend.key_pairs.items()} | backend.launch_template_name_to_ids
            for value in parsed.parameters.values():
                if value.startswith(iam_requests.RESOLVE):
                    names[value] = self._state.resolve_image(value, account, region) or value
        made = iam_requests.calls(
            service, parsed.action, parsed.parameters, region=region, account=account, names=names
        )
        for call in made:
            resource = allowed.refused(call, partial(self._tags_of, account, region))
            if resource is not None:
                text = iam_requests.refusal_text(account, call.action, resource)
                self._note_once(f"the policy does not allow {call.action} on {resource}")
                code, status = _REFUSALS[parsed.protocol]
                return error(parsed.protocol, code, text, status)
        return None

    def _account(self, request: ApiRequest) -> str:
        """Returns the account that signed the request; empty for an unknown key or a wrong signature.

        Signatures with keys from this STS or IAM are not verified.
        """
        key = _access_key(request)
        if not key:
            return ""
        for account in self._settings.accounts:
            if account.access_key_id == key:
                return account.account_id if _has_valid_signature(request, account.secret_access_key) else ""
        with self._state:
            return self._state.account_of_issued_key(key)

    def _carry_out(self, request: ApiRequest, parsed: ParsedRequest, account_id: str) -> Response:
        service, region = parsed.endpoint.service, parsed.endpoint.region
        if service not in endpoint.MODELLED:
            return self._refuse(parsed, "UnsupportedOperation", f"the service '{service}' ({request.host})")
        account_id = account_id or self._settings.accounts[0].account_id
        try:
            with self._state:
                if parsed.generation != self._generation:
                    return error(parsed.protocol, "InternalError", "The embedded EC2 was reset in the meantime.", 500)
                self._state.record_call(account_id, region)
                self._state.settle_parameters(self.behaviour.validation_seconds)
                responder = self._responder(service, request, account_id, region)
                return _answer_of(responder._dispatch(_moto_request(request, parsed, account_id)))
        except HTTPException as refused:
            headers = {str(name): str(value) for name, value in refused.get_headers()}
            return _answer_of((refused.code or 400, headers, refused.get_body()))
        except (OperationNotFoundError, UnknownServiceError):
            return self._refuse(parsed, "InvalidAction", f"the action {parsed.action} of {service}")
        except NotImplementedError as missing:
            return self._refuse(parsed, "UnsupportedOperation", f"{service}:{parsed.action} ({missing})")
        except Exception as bug:
            # moto failed on an unexpected request: the client gets an error, and the user a line.
            self._note_once(f"{service}:{parsed.action} failed internally: {type(bug).__name__}: {bug}")
            text = f"The embedded EC2 failed on {parsed.action}: {type(bug).__name__}: {bug}"
            return error(parsed.protocol, "InternalError", text, 500)

    def _responder(self, service: str, request: ApiRequest, account_id: str, region: str) -> Any:
        match service:
            case "ec2":
                ec2 = EmbeddedEc2()
                ec2.state, ec2.behaviour, ec2.host = self._state, self.behaviour, self._host
                ec2.may = partial(self._may, account_id, region)
                agent = request.headers.get("user-agent", "")
                ec2.fails = lambda action: self.faults.next(action, region, agent) is not None
                return ec2
            case "ssm":
                ssm = ParameterActions()
                ssm.state, ssm.behaviour = self._state, self.behaviour
                ssm.caller = self._state.caller(_access_key(request), account_id)
                ssm.may_describe_images = self._may(account_id, region, "ec2:DescribeImages", "*")
                return ssm
            case "autoscaling":
                groups = GroupActions()
                groups.state, groups.behaviour = self._state, self.behaviour
                return groups
            case "iam":
                return IamResponse()
            case _:
                return TokenResponse()

    def _may(self, account: str, region: str, action: str, resource: str) -> bool:
        """Whether the policy allows an action on a resource. It applies only to the first account."""
        policy = self.behaviour.policy
        if policy is None or account != self._settings.accounts[0].account_id:
            return True
        call = PolicyRequest(action=action, resources=(resource,), region=region)
        return policy.refused(call, partial(self._tags_of, account, region)) is None

    def _tags_of(self, account: str, region: str, resource: str) -> Mapping[str, str]:
        """Returns the tags of a resource of the account; none for a new one."""
        with self._state:
            return self._state.tags_of(account, region, resource)

    def _refuse(self, parsed: ParsedRequest, code: str, what: str) -> Response:
        self._note_once(f"refused: {what} is not supported")
        return error(parsed.protocol, code, f"The embedded EC2 does not support {what}. Nothing was sent to AWS.")

    def _note_once(self, text: str) -> None:
        with self._noted_lock:
            if text in self._noted:
                return
            self._noted.add(text)
        self._note(text)

    def close(self) -> None:
        self._state.clear()


def _access_key(request: ApiRequest) -> str:
    """Returns the access key id of a request; empty if it is not signed."""
    found = _CREDENTIAL.search(request.headers.get("authorization", "") + request.path.replace("%2F", "/"))
    return found.group(1) if found else ""


def _has_valid_signature(request: ApiRequest, secret: str) -> bool:
    if "authorization" not in request.headers:
        return True  # signed in the query string, which is not verified
    return is_signed_with(secret, method=request.method, path=request.path, headers=request.headers, body=request.body)


def _refuse_credentials(request: ApiRequest, parsed: ParsedRequest) -> Response:
    signed = "authorization" in request.headers or "X-Amz-Credential" in request.path
    match parsed.protocol:
        case Protocol.EC2 if signed:
            text = "AWS was not able to validate the provided access credentials"
            return error(parsed.protocol, "AuthFailure", text, 401)
        case Protocol.JSON if signed:
            text = "The security token included in the request is invalid."
            return error(parsed.protocol, "UnrecognizedClientException", text)
        case _ if signed:
            text = "The security token included in the request is invalid."
            return error(parsed.protocol, "InvalidClientTokenId", text, 403)
        case _:
            return error(parsed.protocol, "MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def _moto_request(request: ApiRequest, parsed: ParsedRequest, account_id: str) -> Request:
    """Returns a request for moto. moto reads the region from the host, and the account from a header."""
    where = parsed.endpoint
    suffix = "amazonaws.com.cn" if where.region.startswith("cn-") else "amazonaws.com"
    headers = dict(request.headers) | {"x-moto-account-id": account_id}
    headers["host"] = f"{where.service}.{where.region}.{suffix}"
    if where.service in endpoint.MODELLED:
        get_service_model(where.service).operation_model(parsed.action)  # raises if botocore has no such action
    moto_request: Request = Request.from_primitives(
        request.method, f"https://{headers['host']}{request.path}", headers, request.body
    )
    return moto_request


def _answer_of(response: Any) -> Response:
    status, headers, body = response
    content = body.encode() if isinstance(body, str) else body
    found = _ERROR_CODE.search(content.decode("utf-8", "replace")) if status >= 400 else None
    return Response(
        status=int(status),
        body=content,
        headers={
            name: str(value) for name, value in headers.items() if name.lower() not in ("status", "content-length")
        },
        error=(found.group(1) or found.group(2)) if found else ("" if status < 400 else str(status)),
    )
