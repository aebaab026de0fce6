"""What the portal says about itself: its scopes, its methods, its time."""

from carex_bitrix24.simulator.call import Call, Method, Refusal, Reply


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


def method_get(call: Call) -> Reply:
    """method.get: whether a method exists, and whether this webhook may call it."""
    entry = call.portal.methods.get(str(call.given("name")))
    open_ = entry is not None and (not entry.scopes or bool(entry.scopes & call.portal.scopes))
    return Reply({"isExisting": entry is not None, "isAvailable": open_})


def feature_get(call: Call) -> Reply:
    """feature.get: every feature is there."""
    if not call.given("CODE"):
        raise Refusal("CODE_EMPTY", "CODE can't be empty")
    return Reply({"value": "Y"})


def app_info(call: Call) -> Reply:
    """app.info: a webhook is no application."""
    raise Refusal("ACCESS_DENIED", "Access denied! Application context required")


METHODS = {
    "method.get": Method(method_get),
    "feature.get": Method(feature_get),
    "app.info": Method(app_info),
    "scope": Method(scope),
    "methods": Method(methods),
    "server.time": Method(server_time),
}
