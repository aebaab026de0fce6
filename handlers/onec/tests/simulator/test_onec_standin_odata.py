"""The stand-in against the vendor's guide (8.3.27, §17.4) and against what was seen on live infobases."""

import pytest

pytestmark = pytest.mark.anyio
PARTNER, ORDER, RATES = "Catalog_Контрагенты", "Document_Заказ", "InformationRegister_Курсы"
GUID = "8d04ce3c-36a1-11e9-8bb2-642737df2048"


def code_of(answer):
    return int(answer.json()["odata.error"]["code"])


@pytest.fixture
def base(publish):
    return publish()


@pytest.fixture
def http(base, browse):
    return browse(base)


async def test_without_being_asked_for_json_it_answers_in_atom(http):
    answer = await http.get(f"/{PARTNER}", headers={"Accept": "*/*"})

    assert answer.headers["content-type"].startswith("application/atom+xml")


@pytest.mark.parametrize("asked", ["?$format=json", "?%24format=json"])
async def test_json_may_be_asked_for_in_the_address(http, asked):
    answer = await http.get(f"/{PARTNER}{asked}", headers={"Accept": "*/*"})

    assert answer.json()["value"] == []


async def test_metadata_is_xml_only(http):
    answer = await http.get("/$metadata")

    assert f'EntityType Name="{PARTNER}"' in answer.text


async def test_errors_are_xml_for_those_who_do_not_ask_for_json(http):
    answer = await http.get("/Catalog_Нет", headers={"Accept": "*/*"})

    assert answer.status_code == 404
    assert "<m:code>8</m:code>" in answer.text


async def test_a_new_object_is_answered_whole_with_its_address(http):
    answer = await http.post(f"/{PARTNER}", json={"Description": "Ромашка"})

    made = answer.json()
    assert answer.status_code == 201
    assert made["Ref_Key"] in answer.headers["location"]
    assert (made["Code"], made["DataVersion"], made["Отсрочка"]) == ("000000001", "AAAAAAAAAAA=", "0")


async def test_every_write_raises_the_version_also_one_that_changes_nothing(http, base):
    base.add(PARTNER, Ref_Key=GUID)

    answer = await http.patch(f"/{PARTNER}(guid'{GUID}')", json={})

    assert (answer.status_code, answer.json()["DataVersion"]) == (200, "AAAAAAAAAAE=")


@pytest.mark.parametrize(
    ("body", "there"),
    [
        ({"НетТакого": 1}, {}),
        ({"Description": "я" * 101}, {"Description": "я" * 100}),
        ({"Отсрочка": "много"}, {"Отсрочка": "0"}),
        ({"Ref_Key": "00000000-0000-0000-0000-000000000009"}, {"Ref_Key": GUID}),
    ],
)
async def test_what_is_lost_in_silence(http, base, body, there):
    base.add(PARTNER, Ref_Key=GUID)

    answer = await http.patch(f"/{PARTNER}(guid'{GUID}')", json=body)

    assert answer.status_code == 200
    assert there.items() <= answer.json().items()
    assert "НетТакого" not in answer.json()


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", f"/{PARTNER}(guid'{GUID[:-1]}9')", None, 404, 9),
        ("GET", f"/{PARTNER}?$filter=x eq 1", None, 400, 10),
        ("GET", f"/{PARTNER}?$filter=ИНН eq", None, 400, 14),
        ("GET", f"/{PARTNER}?$filter=ИНН+eq+'1'", None, 400, 14),
        ("GET", f"/{PARTNER}?$where=1", None, 400, 14),
        ("GET", f"/{PARTNER}?$select=x", None, 400, 10),
        ("GET", f"/{RATES}(Валюта='USD')", None, 400, 7),
        ("POST", f"/{PARTNER}", {"Менеджер_Key": "x"}, 400, 1),
        ("POST", f"/{PARTNER}", {"DeletionMark": "да"}, 400, 1),
        ("POST", f"/{PARTNER}", {"Description": []}, 500, -1),
        ("POST", f"/{PARTNER}", {"Ref_Key": GUID}, 400, 15),
        ("POST", f"/{RATES}", {"Валюта": "USD"}, 400, 5),
        ("POST", f"/{ORDER}_Товары", {"Количество": 1}, 400, 13),
        ("POST", f"/{ORDER}", {"Товары": [{"Количество": 1}]}, 500, -1),
        ("POST", f"/{ORDER}", {"Товары": [{"LineNumber": 2}]}, 400, 4),
        ("POST", f"/{PARTNER}(guid'{GUID}')/Post", None, 400, 11),
        ("PUT", f"/{PARTNER}(guid'{GUID}')", {"Description": "x"}, 400, 5),
        ("DELETE", f"/{PARTNER}", None, 405, 19),
    ],
)
async def test_errors_have_the_guides_codes(http, base, method, path, body, status, code):
    base.add(PARTNER, Ref_Key=GUID)

    answer = await http.request(method, path, json=body)

    assert (answer.status_code, code_of(answer)) == (status, code)


async def test_broken_json_is_an_internal_error(http):
    answer = await http.post(f"/{PARTNER}", content=b"{")

    assert (answer.status_code, code_of(answer)) == (500, -1)


@pytest.mark.parametrize(("honours", "status"), [(True, 412), (False, 200)])
async def test_an_old_version_is_refused_where_versions_are_heeded(publish, browse, honours, status):
    base = publish(honours_if_match=honours)
    base.add(PARTNER, Ref_Key=GUID)

    answer = await browse(base).patch(f"/{PARTNER}(guid'{GUID}')", json={}, headers={"If-Match": "old"})

    assert answer.status_code == status


async def test_a_delete_is_physical(http, base):
    base.add(PARTNER, Ref_Key=GUID)

    answer = await http.delete(f"/{PARTNER}(guid'{GUID}')")

    assert (answer.status_code, base.rows(PARTNER)) == (204, [])


async def test_a_tabular_part_is_replaced_as_a_whole(http, base):
    base.add(ORDER, Ref_Key=GUID, Товары=[{"LineNumber": 1}, {"LineNumber": 2}])

    answer = await http.patch(f"/{ORDER}(guid'{GUID}')", json={"Товары": [{"LineNumber": "1", "Количество": 5}]})

    assert answer.json()["Товары"] == [{"LineNumber": "1", "Количество": 5.0}]


async def test_a_document_is_posted_and_unposted(http, base):
    base.add(ORDER, Ref_Key=GUID)

    posted = await http.post(f"/{ORDER}(guid'{GUID}')/Post?PostingModeOperational=false")
    then = base.rows(ORDER)[0]["Posted"]
    await http.post(f"/{ORDER}(guid'{GUID}')/Unpost")

    assert (posted.status_code, then, base.rows(ORDER)[0]["Posted"]) == (200, True, False)


async def test_the_data_load_mode_skips_the_configurations_code(http, base):
    base.entities[PARTNER].on_write = lambda row: "нельзя"

    refused = await http.post(f"/{PARTNER}", json={})
    loaded = await http.post(f"/{PARTNER}", json={}, headers={"1C_OData-DataLoadMode": "true"})

    assert (refused.status_code, loaded.status_code) == (500, 201)


async def test_a_registers_record_is_answered_with_200_and_has_no_version(http):
    key = {"Period": "2026-01-31T00:00:00", "Валюта": "USD"}

    made = await http.post(f"/{RATES}", json={**key, "Курс": 90})
    again = await http.post(f"/{RATES}", json=key)
    read = await http.get(f"/{RATES}(Period=datetime'2026-01-31T00:00:00',Валюта='USD')")

    assert (made.status_code, code_of(again), read.json()["Курс"]) == (200, 15, 90.0)
    assert "DataVersion" not in made.json()


async def test_pages_counts_and_orders(http, base):
    for name in "bca":
        base.add(PARTNER, Ref_Key=f"00000000-0000-0000-0000-00000000000{name}", Description=name)

    query = "$orderby=Description desc&$skip=1&$top=1&$select=Description&$inlinecount=allpages"
    answer = (await http.get(f"/{PARTNER}?{query}")).json()
    count = await http.get(f"/{PARTNER}/$count")

    assert (answer["odata.count"], answer["value"], count.text) == ("3", [{"Description": "b"}], "3")


async def test_hidden_rows_fail_the_whole_query_with_401(http, base):
    base.add(PARTNER, Ref_Key=GUID)
    base.entities[PARTNER].hidden = lambda row: True

    refused = await http.get(f"/{PARTNER}")
    allowed = await http.get(f"/{PARTNER}?allowedOnly=true")

    assert (refused.status_code, code_of(refused), allowed.json()["value"]) == (401, 20, [])
