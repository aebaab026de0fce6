"""The standard interface OData: sets, objects, methods, and errors by their codes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from carex_onec.simulator import atom
from carex_onec.simulator.conditions import condition, literal
from carex_onec.simulator.entities import Entity, Row
from carex_onec.simulator.errors import ODataError

if TYPE_CHECKING:
    from carex_onec.simulator.publication import Publication

_PATH = re.compile(r"(?P<set>[^/(]+)(?:\((?P<key>.*?)\))?(?:/(?P<more>[^/]+?)(?:\((?P<given>.*)\))?)?")
_OPTIONS = {"$format", "$filter", "$select", "$top", "$skip", "$orderby", "$expand", "$inlinecount", "allowedOnly"}


class OData:
    """Answers one request. Nothing waits in here: a request is a transaction."""

    def __init__(self, publication: Publication) -> None:
        self.here = publication

    def answer(self, request: Request, path: str, body: bytes) -> Response:
        """`path` is what comes after the root, still encoded."""
        query, as_json = {}, "json" in request.headers.get("accept", "")
        try:
            query = _query(request.url.query)
            as_json = as_json or "json" in query.get("$format", "")
            status, found, headers = self._found(request, path, query, body)
        except ODataError as error:
            return error.response(as_json)
        if isinstance(found, str):
            return Response(found, status, headers, media_type="application/xml;charset=utf-8")
        if status == 204 or found is None:
            return Response(b"", status, headers)
        if not as_json:
            return Response(atom.feed(found), status, headers, media_type="application/atom+xml;charset=utf-8")
        if "nometadata" not in request.headers.get("accept", ""):
            found = {"odata.metadata": f"{request.base_url}base/odata/standard.odata/$metadata#{path}", **found}
        media = "application/json;charset=utf-8"
        return Response(json.dumps(found, ensure_ascii=False), status, headers, media_type=media)

    def _found(
        self, request: Request, path: str, query: Mapping[str, str], body: bytes
    ) -> tuple[int, Any, dict[str, str]]:
        if path == "$metadata":
            return 200, atom.metadata(self.here.entities.values()), {}
        if not path:
            return 200, {"value": [{"name": name, "url": name} for name in self.here.entities]}, {}
        parts = _PATH.fullmatch(path)
        entity = self.here.entities.get(unquote(parts["set"])) if parts else None
        if parts is None or entity is None:
            set_name = unquote(path.partition("(")[0])
            if any(set_name == f"{each.name}_{part}" for each in self.here.entities.values() for part in each.parts):
                raise ODataError(13, "Непосредственное создание строк табличных частей не поддерживается")
            raise ODataError(8, f"Тип сущности '{set_name}' не найден")
        more = parts["more"]
        if parts["key"] is None:
            if request.method == "GET":
                return 200, self._set(entity, query, more, unquote(parts["given"] or "")), {}
            if request.method == "POST" and more is None:
                return self._create(entity, request, body)
            raise ODataError(19, "Метод не поддерживается")
        row = self._row(entity, unquote(parts["key"]))
        if request.method == "GET" and more is None:
            self._readable(entity, row, query)
            return 200, _selected(entity, row, query), {}
        while request.method != "GET" and self.here.meanwhile:
            self.here.meanwhile.pop(0)()
            row = self._row(entity, unquote(parts["key"]))
        if request.method == "POST" and more in ("Post", "Unpost"):
            return self._post(entity, row, more == "Post")
        if request.method == "POST":
            raise ODataError(11, f"Метод '{more}' не найден")
        expected = request.headers.get("if-match")
        if expected and self.here.honours_if_match and expected != row.get("DataVersion"):
            raise ODataError(6, "Версия данных не совпадает", 412)
        if request.method == "DELETE":
            del entity.rows[entity.key_of(row)]
            return 204, None, {}
        return self._change(entity, row, request, body)

    def _set(self, entity: Entity, query: Mapping[str, str], more: str | None, given: str) -> dict[str, Any] | str:
        rows = [*entity.rows.values()]
        if more == "SliceLast":
            rows = _last(entity, rows, given)
        elif more not in (None, "$count"):
            raise ODataError(11, f"Метод '{more}' не найден")
        if query.get("$filter"):
            test = condition(query["$filter"], {*entity.attributes})
            rows = [row for row in rows if test(row)]
        if query.get("allowedOnly") == "true":
            rows = [row for row in rows if not (entity.hidden and entity.hidden(row))]
        for row in rows:
            self._readable(entity, row, query)
        for name in reversed(query.get("$orderby", "").split(",")):
            name, _, way = name.strip().partition(" ")
            if name:
                rows.sort(key=lambda row: str(row[name]), reverse=way == "desc")
        if more == "$count":
            return str(len(rows))
        total = {"odata.count": str(len(rows))} if query.get("$inlinecount") == "allpages" else {}
        first = int(query.get("$skip", 0))
        last = first + int(query["$top"]) if "$top" in query else None
        return {**total, "value": [_selected(entity, row, query) for row in rows[first:last]]}

    def _create(self, entity: Entity, request: Request, body: bytes) -> tuple[int, Any, dict[str, str]]:
        given = _json(body)
        row = {**entity.blank(), **entity.taken(given)}
        if entity.dimensions:
            missing = [name for name in entity.dimensions if name not in given]
            if missing:
                raise ODataError(5, f"Не указано обязательное свойство {missing[0]}")
        elif not given.get("Ref_Key") or not self.here.honours_ref_key:
            row["Ref_Key"] = str(uuid.uuid4())
        if entity.key_of(row) in entity.rows:
            raise ODataError(15, "Запись с такими значениями ключа уже существует")
        for name in ("Code", "Number"):
            if row.get(name) == "":
                row[name] = f"{len(entity.rows) + 1:09d}"
        row.pop("DataVersion", None)
        if not entity.dimensions:
            row = {"DataVersion": "", **row}
        self._write(entity, row, request)
        if entity.dimensions:
            return 200, row, {}
        where = f"{request.base_url}base/odata/standard.odata/{entity.name}(guid'{row['Ref_Key']}')"
        return 201, row, {"Location": where.encode("ascii", "ignore").decode()}

    def _change(self, entity: Entity, row: Row, request: Request, body: bytes) -> tuple[int, Any, dict[str, str]]:
        given = _json(body)
        if request.method == "PUT":
            missing = {*entity.attributes} - {*given, "Ref_Key", "DataVersion"}
            if missing:
                raise ODataError(5, f"Не указано обязательное свойство {min(missing)}")
        elif request.method != "PATCH":
            raise ODataError(19, "Метод не поддерживается")
        # The reference and the version are passed over.
        changed = {name: value for name, value in entity.taken(given).items() if name not in ("Ref_Key", "DataVersion")}
        self._write(entity, {**row, **changed}, request)
        return 200, entity.rows[entity.key_of(row)], {}

    def _write(self, entity: Entity, row: Row, request: Request) -> None:
        if request.headers.get("1c_odata-dataloadmode") == "true":
            entity.on_write, kept = None, entity.on_write
            try:
                entity.write(row)
            finally:
                entity.on_write = kept
        else:
            entity.write(row)

    def _post(self, entity: Entity, row: Row, wanted: bool) -> tuple[int, Any, dict[str, str]]:
        if not entity.name.startswith("Document_"):
            raise ODataError(11, "Метод 'Post' не найден")
        text = entity.on_post(row) if wanted and entity.on_post else None
        if text:
            raise ODataError(-1, f"Ошибка при выполнении обработчика - 'ОбработкаПроведения': {text}", 500)
        entity.write({**row, "Posted": wanted})
        return 200, None, {}

    def _row(self, entity: Entity, key: str) -> Row:
        if re.fullmatch(r"guid'[^']*'", key):
            values = {"Ref_Key": literal(key)}
        else:
            pairs = re.findall(r"(\w+)=((?:guid|datetime)?'(?:[^']|'')*'|[^,']+)(?:,|$)", key)
            values = {name: literal(value) for name, value in pairs}
        if {*values} != {*entity.keys}:
            raise ODataError(7, "Не указана часть ключа сущности")
        row = entity.rows.get(entity.key_of(values))
        if row is None:
            raise ODataError(9, "Экземпляр сущности не найден")
        return row

    def _readable(self, entity: Entity, row: Row, query: Mapping[str, str]) -> None:
        if entity.hidden and entity.hidden(row):
            raise ODataError(20, "Нарушение прав доступа")
        chosen = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
        if any(type == "Storage" and (not chosen or name in chosen) for name, type in entity.attributes.items()):
            raise ODataError(0, "Значение хранилища не может быть получено", 501)


def _query(text: str) -> dict[str, str]:
    """A plus is no space here, and unknown options are refused."""
    if "+" in text:
        raise ODataError(14, "Ошибка при разборе опции запроса: непредвиденный символ '+'")
    found = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        found[unquote(name)] = unquote(value)
    unknown = [name for name in found if name.startswith("$") and name not in _OPTIONS]
    if unknown:
        raise ODataError(14, f"Неизвестная опция запроса {unknown[0]}")
    return found


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body.decode("utf-8-sig")) if body.strip() else {}
    except ValueError:
        raise ODataError(-1, "Непредвиденный символ при чтении JSON", 500) from None
    if not isinstance(found, dict):
        raise ODataError(2, "Неверный формат запроса")
    return found


def _selected(entity: Entity, row: Row, query: Mapping[str, str]) -> Row:
    chosen = [name.strip() for name in query.get("$select", "").split(",") if name.strip()]
    if not chosen or chosen == ["*"]:
        return row
    if chosen == ["**"]:
        return {name: row[name] for name in entity.attributes}
    unknown = [name for name in chosen if name not in row]
    if unknown:
        raise ODataError(10, f"Свойство '{unknown[0]}' не найдено")
    return {name: row[name] for name in chosen}


def _last(entity: Entity, rows: list[Row], given: str) -> list[Row]:
    """Of each combination of the other dimensions, the record with the last period, until the one that is named."""
    until = re.search(r"Period=datetime'([^']*)'", given)
    latest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: str(row["Period"])):
        if until is None or row["Period"] <= until[1]:
            latest["|".join(str(row[name]) for name in entity.dimensions if name != "Period")] = row
    return [*latest.values()]
