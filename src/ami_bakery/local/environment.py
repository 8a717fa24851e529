"""The environment of child processes. In it, AWS SDKs use the embedded EC2 only."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ami_bakery.local.local_settings import LocalSettings

_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_REMOVED = frozenset(
    {
        "ALL_PROXY",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_DEFAULT_PROFILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "SSL_CERT_DIR",
        "all_proxy",
    }
)


def child_environment(
    base: Mapping[str, str], *, settings: LocalSettings, proxy_url: str, authority: Path, folder: Path
) -> dict[str, str]:
    """Returns `base` changed so that children use the embedded EC2 as AWS.

    authority  the certificate that signs the proxy's certificates
    folder     target of the certificate bundle and of empty AWS configuration files
    """
    account = settings.accounts[0]
    region = base.get("AWS_DEFAULT_REGION") or base.get("AWS_REGION") or settings.region
    kept = {
        name: value for name, value in base.items() if name not in _REMOVED and not name.startswith("AWS_ENDPOINT_URL")
    }
    bundle = _write_bundle(base, authority, folder)
    configuration, credentials = folder / "aws-config", folder / "aws-credentials"
    configuration.touch()
    credentials.touch()
    proxies = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    direct = "localhost,127.0.0.1,127.0.0.0/8,::1"
    return kept | {
        **dict.fromkeys(proxies, proxy_url),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), direct),
        # Only the authority: an SDK that bypasses the proxy does not trust the real AWS.
        "AWS_CA_BUNDLE": str(authority),
        **dict.fromkeys(_BUNDLE_VARIABLES, str(bundle)),
        "NODE_EXTRA_CA_CERTS": str(authority),
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": base.get("AWS_PAGER", ""),
        "AWS_POLL_DELAY_SECONDS": base.get("AWS_POLL_DELAY_SECONDS", "1"),
        # The embedded EC2 has no lag by default, so the lock needs little time to settle.
        "AMI_BAKERY_LOCK_TTL_SECONDS": base.get("AMI_BAKERY_LOCK_TTL_SECONDS", "12"),
        "CHECKPOINT_DISABLE": "1",
        "AMI_BAKERY_LOCAL_URL": proxy_url,
    }


def _write_bundle(base: Mapping[str, str], authority: Path, folder: Path) -> Path:
    """Writes the machine's trusted certificates and the authority.

    The machine's certificates are for hosts that the proxy forwards to.
    """
    system = next((base[name] for name in _BUNDLE_VARIABLES if base.get(name)), None)
    candidates = (system, ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt")
    trusted = next((Path(name).read_bytes() for name in candidates if name and Path(name).is_file()), b"")
    bundle = folder / "bundle.pem"
    bundle.write_bytes(trusted.rstrip() + b"\n" + authority.read_bytes())
    return bundle
