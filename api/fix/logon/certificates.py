"""The TLS door of the FIX gateway, and what is seen of a client's certificate."""

from __future__ import annotations

import hashlib
import re
import ssl
from typing import Any

from api.fix.ports import PeerCertificate
from api.fix.settings.gateway import Tls
from api.fix.settings.templates import FixSettingsError

SHORT_NAMES = {
    "commonName": "CN",
    "countryName": "C",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "domainComponent": "DC",
    "userId": "UID",
}
ESCAPED = re.compile(r'([,+"\\<>;=])')


def server_context(tls: Tls) -> ssl.SSLContext:
    """How the TLS door speaks; raises FixSettingsError when a file of its cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as error:
        raise FixSettingsError(
            f"gateway: tls.certificate, tls.key: {tls.certificate}, {tls.key}: {error}"
        ) from None
    if tls.clients is not None:
        try:
            context.load_verify_locations(tls.clients)
        except (OSError, ssl.SSLError) as error:
            raise FixSettingsError(f"gateway: tls.clients: {tls.clients}: {error}") from None
        context.verify_mode = ssl.CERT_REQUIRED if tls.required else ssl.CERT_OPTIONAL
    return context


def certificate_of(connection: Any) -> PeerCertificate | None:
    """What a connection's client showed, by asyncio's `ssl_object`; None where it is none."""
    if connection is None:
        return None
    whole = connection.getpeercert(binary_form=True)
    said = connection.getpeercert()
    if not whole or not said:
        return None
    parts = [
        [(SHORT_NAMES.get(name, name), value) for name, value in together]
        for together in said.get("subject", ())
    ]
    subject = ",".join(
        "+".join(f"{name}={_escaped(value)}" for name, value in together)
        for together in reversed(parts)
    )
    names = [value for together in parts for name, value in together if name == "CN"]
    return PeerCertificate(subject, names[-1] if names else "", hashlib.sha256(whole).hexdigest())


def _escaped(value: str) -> str:
    text = ESCAPED.sub(r"\\\1", value)
    if text[:1] in ("#", " "):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and not text.endswith("\\ ") else text
