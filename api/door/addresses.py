"""Who is counted as one by the address it comes from."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def address_of(host: str) -> str:
    """An IPv4 address as it is; of an IPv6 one the /64, of which a client has all."""
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
