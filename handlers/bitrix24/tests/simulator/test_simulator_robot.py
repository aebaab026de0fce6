"""The robot's call."""

import httpx
import pytest
from carex_bitrix24.simulator import robot_form
from carex_bitrix24.simulator.phpform import decode_query
from carex_bitrix24.simulator.robot import robot_url

pytestmark = pytest.mark.anyio


def test_the_form_names_the_deal_and_the_portal_but_carries_no_token():
    form = robot_form(123, domain="acme.example")
    assert form["document_id[0]"] == "crm"
    assert form["document_id[1]"] == "CCrmDocumentDeal"
    assert form["document_id[2]"] == "DEAL_123"
    assert {name for name in form if name.startswith("auth")} == {
        "auth[domain]",
        "auth[client_endpoint]",
        "auth[server_endpoint]",
        "auth[member_id]",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("http://c/hook", 5), "http://c/hook"),
        (("http://c/hook", 5, 7), "http://c/hook?deal_id=5&cont_id=7"),
        (("http://c/hook", 5, ""), "http://c/hook?deal_id=5&cont_id="),
        (("http://c/hook?key=1", 5, None, {"rule": "a b"}), "http://c/hook?key=1&rule=a+b"),
    ],
)
def test_the_query_is_what_its_author_put_there(given, expected):
    assert robot_url(*given) == expected


async def test_the_robot_posts_a_form_once(rest):
    seen = []

    def receive(request):
        seen.append(request)
        return httpx.Response(202)

    status = await rest.portal.robot_post("http://c/hook", 5, 7, transport=httpx.MockTransport(receive))
    assert (status, len(seen), seen[0].url.query) == (202, 1, b"deal_id=5&cont_id=7")
    assert decode_query(seen[0].content.decode())["document_id"] == ["crm", "CCrmDocumentDeal", "DEAL_5"]


@pytest.mark.parametrize("status", [500, 503])
async def test_a_failure_is_not_repeated(rest, status):
    seen = []

    def refuse(request):
        seen.append(request)
        return httpx.Response(status)

    assert await rest.portal.robot_post("http://c/hook", 5, transport=httpx.MockTransport(refuse)) == status
    assert len(seen) == 1


async def test_no_answer_is_none(rest):
    def vanish(request):
        raise httpx.ConnectError("nobody there")

    assert await rest.portal.robot_post("http://c/hook", 5, transport=httpx.MockTransport(vanish)) is None
