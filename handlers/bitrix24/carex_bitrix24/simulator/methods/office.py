"""What the portal says about itself: its scopes, its methods, its time."""

from carex_bitrix24.simulator.call import Call, Method, Reply


def scope(call: Call) -> Reply:
    """scope: what the webhook may do."""
    return Reply(sorted(call.portal.scopes))


def methods(call: Call) -> Reply:
    """methods: the names of the methods that the webhook's scopes open."""
    portal = call.portal
    return Reply(
        sorted(name for name, entry in portal.methods.items() if not entry.scopes or entry.scopes & portal.scopes)
    )


def server_time(call: Call) -> Reply:
    """server.time: now, in the portal's time."""
    return Reply(call.portal.iso())


METHODS = {
    "scope": Method(scope),
    "methods": Method(methods),
    "server.time": Method(server_time),
}
