"""`1c_sync_data` over OData: an object is made once, changed only where it differs, and nothing is lost in silence."""

import uuid
from typing import Any

import pytest
from carex_onec.simulator import Fault

from carex import BpmnError, Done, Fail, Retry, Wait

PARTNER, ORDER, RATES = "Catalog_Контрагенты", "Document_ЗаказПокупателя", "InformationRegister_КурсыВалют"
ROMASHKA = {"Description": "ООО Ромашка", "ИНН": "7701234567", "Лимит": 100000}
BY_TAX_NUMBER = {"entity": PARTNER, "data": ROMASHKA, "match_by": "ИНН"}
GOODS = str(uuid.UUID(int=7))


def until_done(run: Any, publication: Any, payload: dict[str, Any], **more: Any) -> Any:
    """Attempts until one succeeds; a `Wait` does not count as one."""
    attempt = 1
    for _ in range(10):
        outcome = run(publication, "1c_sync_data", payload, attempt=attempt, **more)
        if isinstance(outcome, Done):
            return outcome.result
        assert isinstance(outcome, (Retry, Wait)), outcome
        attempt += isinstance(outcome, Retry)
    raise AssertionError("it does not end")


def test_a_new_object_is_made_under_a_reference_of_ours(shop: Any, run: Any) -> None:
    base = shop()

    result = run(base, "1c_sync_data", BY_TAX_NUMBER).result

    (partner,) = base.rows(PARTNER)
    assert (result["key"], result["created"], result["altered"]) == (partner["Ref_Key"], True, {})
    assert (partner["ИНН"], partner["Лимит"]) == ("7701234567", 100000)


# Where references of ours are not taken, only the attributes to look for tell that it is there; the README says so.
@pytest.mark.parametrize(
    ("payload", "honours_ref_key"),
    [(BY_TAX_NUMBER, True), (BY_TAX_NUMBER, False), ({"entity": PARTNER, "data": ROMASHKA}, True)],
)
def test_an_object_is_made_once_although_the_answer_is_lost(
    shop: Any, run: Any, payload: dict[str, Any], honours_ref_key: bool
) -> None:
    base = shop(honours_ref_key=honours_ref_key)
    base.faults.append(Fault(502, method="POST", applied=True))

    until_done(run, base, payload)

    assert len(base.rows(PARTNER)) == 1


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_page_after_the_creation_is_no_reason_to_create_again_without_a_look(
    shop: Any, run: Any, status: int
) -> None:
    base = shop(honours_ref_key=False)
    base.faults.append(Fault(status, "Что-то не то", method="POST", applied=True))

    result = until_done(run, base, BY_TAX_NUMBER)

    assert (result["created"], len(base.rows(PARTNER))) == (False, 1)


def test_two_tasks_for_one_partner_make_one_object(shop: Any, run: Any) -> None:
    base = shop()
    reference = run(shop(), "1c_sync_data", BY_TAX_NUMBER, id="other").result["key"]

    async def the_other_task_is_faster() -> None:
        if len(base.log) == 2:  # this one has looked for it twice, and is about to make it
            base.add(PARTNER, **ROMASHKA, Ref_Key=reference)

    base.hold = the_other_task_is_faster
    result = run(base, "1c_sync_data", {**BY_TAX_NUMBER, "data": {**ROMASHKA, "Лимит": 5}}).result

    assert (result["created"], result["changed"]) == (False, ["Лимит"])
    assert [row["Лимит"] for row in base.rows(PARTNER)] == [5]


def test_only_what_differs_is_written(shop: Any, run: Any) -> None:
    base = shop()
    there = base.add(PARTNER, **{**ROMASHKA, "Лимит": 1, "Отсрочка": 14})

    result = run(base, "1c_sync_data", {**BY_TAX_NUMBER, "data": {**ROMASHKA, "Отсрочка": 14}}).result

    assert (result["key"], result["created"], result["changed"]) == (there["Ref_Key"], False, ["Лимит"])
    assert base.rows(PARTNER)[0]["Лимит"] == 100000


def test_what_is_there_already_is_not_written_again(shop: Any, run: Any) -> None:
    base = shop()
    run(base, "1c_sync_data", BY_TAX_NUMBER)
    written = base.entities[PARTNER].written

    result = run(base, "1c_sync_data", BY_TAX_NUMBER, id="another task").result

    assert (result["changed"], base.entities[PARTNER].written) == ([], written)


@pytest.mark.parametrize("honours_if_match", [True, False])
def test_somebody_elses_change_of_another_attribute_stays(shop: Any, run: Any, honours_if_match: bool) -> None:
    base = shop(honours_if_match=honours_if_match)
    there = base.add(PARTNER, **{**ROMASHKA, "Лимит": 1})
    kind = base.entities[PARTNER]
    base.meanwhile.append(lambda: kind.write({**there, "Отсрочка": "30"}))

    result = run(base, "1c_sync_data", BY_TAX_NUMBER)

    assert isinstance(result, Done)
    assert (base.rows(PARTNER)[0]["Лимит"], base.rows(PARTNER)[0]["Отсрочка"]) == (100000, "30")
    assert [each.status for each in base.log if each.method == "PATCH"] == ([412, 200] if honours_if_match else [200])


def test_an_object_that_always_changes_is_tried_again_later(shop: Any, run: Any) -> None:
    base = shop()
    base.add(PARTNER, **{**ROMASHKA, "Лимит": 1})
    base.faults.append(Fault(412, "Версия данных не совпадает", 6, method="PATCH", count=9))

    assert isinstance(run(base, "1c_sync_data", BY_TAX_NUMBER), Retry)


def test_an_unknown_attribute_is_named_before_anything_is_changed(shop: Any, run: Any) -> None:
    base = shop()
    base.add(PARTNER, **{**ROMASHKA, "Лимит": 1})

    outcome = run(base, "1c_sync_data", {**BY_TAX_NUMBER, "data": {**ROMASHKA, "ИНH": "x"}})

    assert isinstance(outcome, Fail)
    assert "no attribute ИНH: nothing was changed" in outcome.reason
    assert base.rows(PARTNER)[0]["Лимит"] == 1


def test_an_unknown_attribute_of_a_new_object_is_named_too(shop: Any, run: Any) -> None:
    outcome = run(shop(), "1c_sync_data", {"entity": PARTNER, "data": {"Description": "x", "Телефон": "1"}})

    assert isinstance(outcome, Fail)
    assert "Телефон: the rest was written" in outcome.reason


def test_what_1c_cuts_off_is_told(shop: Any, run: Any) -> None:
    data = {"Description": "я" * 101, "ИНН": "1"}

    result = run(shop(), "1c_sync_data", {"entity": PARTNER, "data": data, "match_by": ["ИНН"]}).result

    assert result["altered"] == {"Description": "я" * 100}


def test_several_that_match_are_left_to_the_process(shop: Any, run: Any) -> None:
    base = shop()
    refs = {base.add(PARTNER, **ROMASHKA, Ref_Key=str(uuid.UUID(int=n)))["Ref_Key"] for n in (1, 2)}

    outcome = run(base, "1c_sync_data", BY_TAX_NUMBER)

    assert isinstance(outcome, BpmnError)
    assert (outcome.code, {*outcome.variables["refs"]}) == ("AMBIGUOUS", refs)


def test_one_marked_for_deletion_gives_way(shop: Any, run: Any) -> None:
    base = shop()
    base.add(PARTNER, **ROMASHKA, Ref_Key=str(uuid.UUID(int=1)), DeletionMark=True)
    base.add(PARTNER, **ROMASHKA, Ref_Key=str(uuid.UUID(int=2)))

    assert run(base, "1c_sync_data", BY_TAX_NUMBER).result["key"] == str(uuid.UUID(int=2))


def test_an_object_is_marked_for_deletion_and_not_deleted(shop: Any, run: Any) -> None:
    base = shop()
    there = base.add(PARTNER, **ROMASHKA, Ref_Key=str(uuid.UUID(int=1)))

    run(base, "1c_sync_data", {"entity": PARTNER, "key": there["Ref_Key"], "data": {"DeletionMark": True}})

    assert base.rows(PARTNER)[0]["DeletionMark"] is True


def test_a_tabular_part_is_numbered_and_replaced_as_a_whole(shop: Any, run: Any) -> None:
    base = shop()
    rows = [{"Номенклатура_Key": GOODS, "Количество": n} for n in (1, 2, 3)]
    run(base, "1c_sync_data", {"entity": ORDER, "data": {"Товары": rows}})

    result = run(base, "1c_sync_data", {"entity": ORDER, "data": {"Товары": rows[:1]}}).result

    assert result["changed"] == ["Товары"]
    assert [row["LineNumber"] for row in base.rows(ORDER)[0]["Товары"]] == ["1"]


def test_an_unknown_column_of_a_tabular_part_is_named(shop: Any, run: Any) -> None:
    payload = {"entity": ORDER, "data": {"Товары": [{"Номенклатура_Key": GOODS, "Цена": 1}]}}

    assert "Товары/Цена" in run(shop(), "1c_sync_data", payload).reason


def test_a_document_is_posted(shop: Any, run: Any) -> None:
    base = shop()

    result = run(base, "1c_sync_data", {"entity": ORDER, "data": {"Сумма": 5}, "post": True}).result

    assert (result["posted"], base.rows(ORDER)[0]["Posted"]) == (True, True)


def test_a_document_whose_posting_broke_off_is_posted_by_the_repetition(shop: Any, run: Any) -> None:
    base = shop()
    base.faults.append(Fault(502, method="POST", where="/Post"))

    until_done(run, base, {"entity": ORDER, "data": {"Сумма": 5}, "post": True})

    assert [row["Posted"] for row in base.rows(ORDER)] == [True]


def test_a_refusal_to_post_is_told_in_1cs_words(shop: Any, run: Any) -> None:
    base = shop()
    base.entities[ORDER].on_post = lambda row: "Не хватает товара на складе"

    outcome = run(base, "1c_sync_data", {"entity": ORDER, "data": {"Сумма": 5}, "post": True})

    assert isinstance(outcome, Retry)
    assert "Не хватает товара" in outcome.reason


def test_a_record_of_a_register_is_written_by_its_dimensions(shop: Any, run: Any) -> None:
    base = shop()
    key = {"Period": "2026-01-31T00:00:00", "Валюта_Key": GOODS}
    run(base, "1c_sync_data", {"entity": RATES, "key": key, "data": {"Курс": 90.5}})

    result = run(base, "1c_sync_data", {"entity": RATES, "key": key, "data": {"Курс": 91}}).result

    assert (result["created"], [row["Курс"] for row in base.rows(RATES)]) == (False, [91])


def test_a_moment_is_told_in_the_servers_time(shop: Any, run: Any) -> None:
    base = shop()
    data = {"Date": "2026-01-31T18:00:00.000+0000"}

    run(base, "1c_sync_data", {"entity": ORDER, "data": data}, time_zone="Europe/Moscow")

    assert base.rows(ORDER)[0]["Date"] == "2026-01-31T21:00:00"


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"data": {}}, "name either an entity"),
        ({"data": {"Ref_Key": GOODS}, "entity": PARTNER}, "name it as key"),
        ({"data": {"Posted": True}, "entity": ORDER}, "post = true"),
        ({"data": {}, "entity": PARTNER, "match_by": "ИНН"}, "ИНН"),
        ({"data": {"Date": "2026-01-31T18:00:00Z"}, "entity": ORDER}, "plugins.onec.time_zone"),
        ({"data": {}, "entity": "Catalog_X/../y"}, "entity"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_is_sent(
    shop: Any, run: Any, payload: dict[str, Any], said: str
) -> None:
    base = shop()

    outcome = run(base, "1c_sync_data", payload)

    assert isinstance(outcome, Fail)
    assert said in outcome.reason
    assert base.log == []


@pytest.mark.parametrize(
    ("payload", "kind", "said"),
    [
        ({"entity": "Catalog_Нет", "data": {}}, Fail, "УстановитьСостав"),
        ({"entity": PARTNER, "data": {"Менеджер_Key": "Иванов"}}, BpmnError, "Не удалось разобрать строку 'Иванов'"),
        ({"entity": PARTNER, "data": {"x": 1}, "match_by": "x"}, Fail, "Свойство 'x' не найдено"),
        ({"entity": PARTNER, "data": {"Description": ["x"]}}, Retry, "внутренняя ошибка OData"),
    ],
)
def test_odatas_refusals_become_outcomes(
    shop: Any, run: Any, payload: dict[str, Any], kind: type[Exception], said: str
) -> None:
    outcome = run(shop(), "1c_sync_data", payload)

    assert isinstance(outcome, kind)
    assert said in outcome.reason


def test_the_configurations_own_exception_costs_an_attempt_and_is_told(shop: Any, run: Any) -> None:
    base = shop()
    base.entities[PARTNER].on_write = lambda row: "Период закрыт для изменений"

    outcome = run(base, "1c_sync_data", BY_TAX_NUMBER)

    assert isinstance(outcome, Retry)
    assert "Период закрыт" in outcome.reason


def test_an_http_service_is_told_the_operation_once(shop: Any, run: Any) -> None:
    base = shop(service=lambda operation, payload: (200, {"status": "ok", "ref": payload["ИНН"]}))
    base.faults.append(Fault(502, method="POST", where="/hs/", applied=True))

    result = until_done(run, base, {"operation": "partner", "data": ROMASHKA})

    assert result["answer"] == {"status": "ok", "ref": "7701234567"}
    assert base.calls == [("partner", ROMASHKA)]


@pytest.mark.parametrize(("status", "code"), [(409, "CONFLICT"), (422, "INVALID")])
def test_the_services_refusals_are_for_the_process(shop: Any, run: Any, status: int, code: str) -> None:
    base = shop(service=lambda operation, payload: (status, {"errors": ["ИНН не указан"]}))

    outcome = run(base, "1c_sync_data", {"operation": "partner", "data": {}})

    assert isinstance(outcome, BpmnError)
    assert (outcome.code, outcome.variables) == (code, {"errors": ["ИНН не указан"]})
