"""What the client makes of every kind of answer."""

import asyncio
import base64

import httpx
import pytest
from carex_openproject import Settings
from carex_openproject.client import Conflict, OpenProject
from carex_openproject.simulator import Fault

from carex import BpmnError, Fail, Retry, Wait
from carex.testing import Clock

TOKEN = "s3cr3tw0rd99"
BASIC = base64.b64encode(f"apikey:{TOKEN}".encode()).decode()
PAGE = "<title>502 Bad Gateway</title>nginx"


def error(name, message="Oops", **embedded):
    body = {"_type": "Error", "errorIdentifier": f"urn:openproject-org:api:v3:errors:{name}", "message": message}
    return {**body, "_embedded": embedded} if embedded else body


def answering(*answers, clock=None, **settings):
    """A client whose requests get these answers, the last one from then on; and what it sent."""
    sent, left = [], list(answers)

    def answer(request):
        sent.append(request)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    given = Settings.model_validate({"url": "https://openproject.example/", "token": TOKEN, **settings})
    return OpenProject(given, transport=httpx.MockTransport(answer), **({"clock": clock} if clock else {})), sent


def outcome(client, method="get", **more):
    async def scenario():
        body = {} if method == "get" else {"body": {}}
        async with client:
            with pytest.raises((Wait, Retry, Fail, BpmnError)) as raised:
                await getattr(client, method)("work_packages", **body, **more)
        return raised.value

    return asyncio.run(scenario())


ANSWERS = [
    (400, "InvalidRequestBody", Fail),
    (400, "InvalidQuery", Fail),
    (403, "MissingPermission", Fail),
    (404, "NotFound", BpmnError),
    (406, "InvalidRequestBody", Fail),
    (409, "UpdateConflict", Conflict),
    (415, "TypeNotSupported", Fail),
    (422, "PropertyConstraintViolation", BpmnError),
    (422, "PropertyIsReadOnly", BpmnError),
    (422, "PropertyFormatError", BpmnError),
    (422, "PropertyMissingError", BpmnError),
    (422, "ResourceTypeMismatch", BpmnError),
    (429, "TooManyRequests", Wait),
    (500, "InternalServerError", Retry),
    (501, "NotImplemented", Fail),
    (503, "Unavailable", Wait),
]


@pytest.mark.parametrize(("status", "name", "kind"), ANSWERS)
@pytest.mark.parametrize("method", ["get", "post", "patch"])
def test_each_error_has_its_outcome_and_keeps_its_name(status, name, kind, method):
    client, _ = answering(httpx.Response(status, json=error(name)))

    found = outcome(client, method)

    assert type(found) is kind
    assert name in found.reason or status == 503
    assert found.reason.startswith(f"{method.upper()} /work_packages: ")


def test_several_problems_are_joined_by_attribute():
    each = [
        error("PropertyConstraintViolation", text, details={"attribute": name})
        for name, text in [("subject", "Zu kurz."), ("subject", "Zu dumm."), ("type", "Fehlt.")]
    ]
    client, _ = answering(httpx.Response(422, json=error("MultipleErrors", errors=each)))

    found = outcome(client, "post")

    assert found.variables == {"problems": {"subject": "Zu kurz. Zu dumm.", "type": "Fehlt."}}


TROUBLES = [
    httpx.Response(502, text=PAGE),
    httpx.Response(503, text=PAGE),
    httpx.Response(504, text=PAGE),
    httpx.Response(500, text=PAGE),
    httpx.Response(408, text=PAGE),
    httpx.ReadTimeout("x"),
    httpx.ReadError("x"),
    httpx.ConnectError("x"),
    httpx.ConnectTimeout("x"),
]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize(("method", "delay"), [("get", 5.0), ("patch", 5.0), ("post", 30.0)])
def test_an_outage_costs_no_attempt_and_a_creation_is_looked_for_when_it_has_settled(trouble, method, delay):
    client, sent = answering(trouble, settle=30)

    found = outcome(client, method)

    assert (type(found), found.delay, len(sent)) == (Wait, delay, 1)


STRANGERS = [
    httpx.Response(404, text="<title>Not here</title>"),
    httpx.Response(200, text="<title>Welcome</title>"),
    httpx.Response(200, json={"hello": 1}),
    httpx.Response(302, headers={"location": "https://elsewhere/"}),
    httpx.Response(403, text="<title>WAF</title>"),
]


@pytest.mark.parametrize("answer", STRANGERS)
def test_a_server_that_is_no_openproject_waits_for_a_person(answer):
    client, _ = answering(answer)

    found = outcome(client)

    assert type(found) is Wait
    assert "check plugins.openproject.url" in found.reason


@pytest.mark.parametrize("answer", [httpx.Response(401, json=error("Unauthenticated")), httpx.Response(401, text="no")])
def test_a_refused_token_stops_everything_for_a_while_and_is_said_once(answer, lines):
    clock = Clock()
    client, sent = answering(answer, clock=clock)

    found = [outcome(client), outcome(client)]
    assert (len(sent), len(lines)) == (1, 1)
    assert {type(each) for each in found} == {Wait}
    assert "CAREX_PLUGINS__OPENPROJECT__TOKEN" in lines[0]


def test_after_that_while_it_is_tried_again(lines):
    clock = Clock()
    client, sent = answering(httpx.Response(401, json=error("Unauthenticated")), clock=clock)

    async def scenario():
        async with client:
            for seconds in (0, 29, 2):
                clock.advance(seconds)
                with pytest.raises(Wait):
                    await client.get("users/me")

    asyncio.run(scenario())
    assert len(sent) == 2


@pytest.mark.parametrize(
    ("header", "delay"), [({"Retry-After": "42"}, 42.0), ({}, 10.0), ({"Retry-After": "soon"}, 10.0)]
)
def test_too_many_requests_wait_as_long_as_they_are_told(header, delay):
    client, sent = answering(httpx.Response(429, json=error("TooManyRequests"), headers=header), clock=Clock())

    assert outcome(client).delay == delay
    assert (outcome(client).delay, len(sent)) == (delay, 1)


@pytest.mark.parametrize(
    ("auth", "header"), [("basic", "Basic YXBpa2V5OnMzY3IzdHcwcmQ5OQ=="), ("bearer", f"Bearer {TOKEN}")]
)
def test_the_token_is_sent_as_the_settings_say(auth, header):
    client, sent = answering(httpx.Response(404, json=error("NotFound")), auth=auth)

    outcome(client, "post")

    assert sent[0].headers["authorization"] == header
    assert sent[0].headers["content-type"] == "application/json"
    assert str(sent[0].url) == "https://openproject.example/api/v3/work_packages"


@pytest.mark.parametrize(("missing", "name"), [({"url": None}, "url"), ({"token": None}, "token")])
def test_without_settings_everything_waits(missing, name):
    client, sent = answering(httpx.Response(500), **missing)

    found = outcome(client)

    assert (type(found), sent) == (Wait, [])
    assert name in found.reason


@pytest.mark.parametrize(("repeatable", "kind"), [(False, Wait), (True, asyncio.CancelledError)])
def test_a_creation_that_is_stopped_midway_is_not_given_back_as_if_it_had_not_begun(repeatable, kind):
    async def scenario():
        begun = asyncio.Event()

        async def never(request):
            begun.set()
            await asyncio.Event().wait()

        settings = Settings.model_validate({"url": "https://openproject.example", "token": TOKEN})
        async with OpenProject(settings, transport=httpx.MockTransport(never)) as client:
            work = asyncio.ensure_future(client.post("projects", {}, repeatable=repeatable))
            await begun.wait()
            work.cancel()
            with pytest.raises(kind):
                await work

    asyncio.run(scenario())


@pytest.mark.parametrize("largest_page", [2, 1000])
def test_all_pages_of_a_collection_are_read(instance, asking, largest_page):
    instance.largest_page = largest_page
    for number in range(4):
        instance.add_project(f"More {number}")

    async def names(client):
        return [each["name"] async for each in client.pages("projects")]

    assert asking(names) == ["Demo", "More 0", "More 1", "More 2", "More 3"]
    assert instance.requests("GET", "/projects$") == (3 if largest_page == 2 else 1)


ECHOES = [
    httpx.Response(status, json=error("Any", f"{TOKEN} Basic {BASIC} " * 100, details={"attribute": "subject"}))
    for status in (400, 401, 403, 404, 409, 422, 429, 500)
]


TELLING = [
    *ECHOES,
    httpx.Response(502, text=TOKEN),
    httpx.Response(502, text=f"got Basic {BASIC}"),
    httpx.ReadError(TOKEN),
]


@pytest.mark.parametrize("number", range(len(TELLING)))
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_trouble_shows_the_token(number, method, lines, caplog):
    from loguru import logger

    client, _ = answering(TELLING[number])

    found = outcome(client, method)
    logger.opt(exception=found).error("as somebody may log it, variables and all")

    shown = repr(found) + repr(client) + caplog.text + "".join(lines)
    assert TOKEN[:6] not in shown
    assert BASIC[:6] not in shown
    assert found.__context__ is None


def test_faults_of_the_stand_in_reach_the_client(instance, asking):
    instance.faults.append(Fault(429, "GET", headers={"Retry-After": "7"}))

    with pytest.raises(Wait) as raised:
        asking(lambda client: client.get("projects"))

    assert raised.value.delay == 7
