"""Paging, filters, order and selection."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
def full(rest):
    for number in range(1, 121):
        rest.portal.add_item(2, number, title=f"Deal {number}", assignedById=number % 3 + 1, opportunity=number)
    return rest


async def ids(rest, **params):
    answer = (await rest("crm.item.list", entityTypeId=2, **params)).json()
    return [item["id"] for item in answer["result"]["items"]], answer.get("total"), answer.get("next")


@pytest.mark.parametrize(
    ("start", "first", "length", "following"), [(0, 1, 50, 50), (50, 51, 50, 100), (100, 101, 20, None)]
)
async def test_a_page_has_fifty_rows_and_says_where_the_next_begins(full, start, first, length, following):
    found, total, after = await ids(full, start=start)
    assert (found[0], len(found), total, after) == (first, length, 120, following)


async def test_start_minus_one_counts_nothing(full):
    found, total, after = await ids(full, start=-1, filter={">id": 100}, order={"id": "ASC"})
    assert (found, total, after) == (list(range(101, 121)), 0, None)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({">id": 118}, [119, 120]),
        ({">=id": "119"}, [119, 120]),
        ({"<id": 3}, [1, 2]),
        ({"<=id": 2}, [1, 2]),
        ({"@id": [5, "6"]}, [5, 6]),
        ({"id": [5, 6]}, [5, 6]),
        ({"=id": 5}, [5]),
        ({"id": "5"}, [5]),
        ({">id": 117, "!id": 119}, [118, 120]),
        ({">id": 117, "!=id": 119}, [118, 120]),
        ({">id": 117, "!@id": [118, 119]}, [120]),
        ({"%title": "DEAL 11", "<id": 112}, [11, 110, 111]),
        ({"=%title": "Deal 1_%"}, []),
        ({"%=title": "deal 12%"}, [12, 120]),
        ({"!%title": "1", "<id": 4}, [2, 3]),
        ({"!=%title": "Deal 1%", "<id": 4}, [2, 3]),
        ({"assignedById": 1, "<id": 7}, [3, 6]),
        ({"logic": "OR", "0": {"id": 1}, "1": {">id": 119}}, [1, 120]),
        ({"<id": 10, "0": {"logic": "OR", "0": {"id": 1}, "1": {"id": 99}}}, [1]),
        ([{"logic": "OR", "0": {"id": 1}, "1": {"id": 2}}], [1, 2]),
    ],
)
async def test_a_filter_lets_through_what_it_says(full, conditions, expected):
    assert (await ids(full, filter=conditions))[0] == expected


async def test_rows_come_in_the_order_asked_for(full):
    assert (await ids(full, order={"assignedById": "DESC", "id": "DESC"}))[0][:2] == [119, 116]


async def test_only_the_selected_fields_come(full):
    answer = await full("crm.item.list", entityTypeId=2, select=["id", "title", "nonsense"])
    assert answer.json()["result"]["items"][0] == {"id": 1, "title": "Deal 1"}


async def test_items_that_may_not_be_read_are_not_listed(full):
    full.portal.denied.add((2, 1))
    full.portal.missing.add((2, 2))
    assert (await ids(full))[0][0] == 3


async def test_old_lists_have_strings(full):
    answer = (await full("crm.deal.list", filter={">ID": 119}, select=["ID", "ASSIGNED_BY_ID"])).json()
    assert answer["result"] == [{"ID": "120", "ASSIGNED_BY_ID": "1"}]
    assert answer["total"] == 1
    assert "next" not in answer


async def test_people_are_paged_by_fifty(open_portal):
    rest = open_portal(employees=70)
    first = (await rest("user.get", FILTER={"ACTIVE": True})).json()
    second = (await rest("user.get", FILTER={"ACTIVE": True}, start=first["next"])).json()
    assert (len(first["result"]), first["total"], len(second["result"])) == (50, 70, 20)
    assert "next" not in second


async def test_a_form_can_filter_too(full):
    path = f"/rest/1/{full.portal.secret}/crm.deal.list"
    answer = await full.http.get(path + "?filter[>ID]=118&order[ID]=DESC&select[]=ID")
    assert answer.json()["result"] == [{"ID": "120"}, {"ID": "119"}]


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("2026-11-20T12:00:00+03:00", [2, 3]),
        ("2026-11-20T09:00:00Z", [2, 3]),
        ("2026-11-20T11:59:59", [2, 3]),
        ("20.11.2026 12:00:00", [2, 3]),
        ("2026-11-21", [3]),
        ("21.11.2026", [3]),
        ("yesterday", []),
    ],
)
@pytest.mark.parametrize("method", ["crm.item.list", "crm.deal.list"])
async def test_dates_are_compared_as_moments(open_portal, method, since, found):
    rest = open_portal(auto_create=False)
    days = {1: "2026-11-20T11:00:00+03:00", 2: "2026-11-20T09:00:00+00:00", 3: "2026-11-21T00:00:00+03:00"}
    for number, day in days.items():
        rest.portal.add_item(2, number, createdTime=day)
    name = ">=createdTime" if method == "crm.item.list" else ">=DATE_CREATE"
    result = (await rest(method, entityTypeId=2, filter={name: since})).json()["result"]
    rows = result["items"] if method == "crm.item.list" else result
    assert [int(row.get("id") or row["ID"]) for row in rows] == found


async def test_a_marker_of_its_creator_can_be_found_again(rest):
    await rest("crm.item.add", entityTypeId=2, fields={"originatorId": "carex", "originId": "t-1"})
    answer = await rest("crm.item.list", entityTypeId=2, filter={"originatorId": "carex", "originId": "t-1"})
    assert [item["originId"] for item in answer.json()["result"]["items"]] == ["t-1"]
