"""The pretend departments, asked over HTTP as the gateway asks them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from gateway.demo.departments import (
    DATA_FOLDER,
    Replacements,
    create_departments,
    read_department,
)
from gateway.demo.packs import BUILT_IN
from gateway.demo.scenario import PackInvalid

TABLE = "nhs_number,area\n9990000018,E06999001\n9990000026,E06999002\n"
SERVICES = """
department:
  one:
    - {method: GET, path: "/people", table: people.csv}
    - {method: GET, path: "/people/{nhs_number}", table: people.csv}
    - {method: GET, path: "/people/{nhs_number}/known", known: people.csv}
    - {method: POST, path: "/people", append: people.csv}
    - {method: POST, path: "/match", match: people.csv, on: [nhs_number]}
    - {method: GET, path: "/file.csv", file: people.csv, media_type: text/csv}
    - {method: GET, path: "/file.parquet", parquet_of: people.csv}
"""


@pytest.fixture
def replacements(tmp_path: Path) -> Replacements:
    """Return the note by the door, empty."""
    return Replacements(tmp_path / "note.json")


@pytest.fixture
def http(tmp_path: Path, replacements: Replacements) -> TestClient:
    """Return a client of one small department."""
    (tmp_path / DATA_FOLDER).mkdir()
    (tmp_path / DATA_FOLDER / "people.csv").write_text(TABLE)
    (tmp_path / DATA_FOLDER / "others.csv").write_text("nhs_number\n9990000034\n")
    (tmp_path / "services.yaml").write_text(SERVICES)
    operations = read_department(tmp_path)
    return TestClient(create_departments(operations, tmp_path / DATA_FOLDER, replacements))


def test_a_table_is_narrowed_by_parameters_that_are_columns(http: TestClient) -> None:
    """Query and path parameters narrow where they name a column; others are ignored."""
    both = http.get("/people?unknown=1").json()["records"]
    one = http.get("/people?area=E06999002").json()["records"]
    by_path = http.get("/people/9990000018").json()["records"]
    assert [row["nhs_number"] for row in both] == ["9990000018", "9990000026"]
    assert [row["nhs_number"] for row in one] == ["9990000026"]
    assert [row["area"] for row in by_path] == ["E06999001"]


def test_known_says_yes_or_no(http: TestClient) -> None:
    """A path parameter is known when a row has it."""
    assert http.get("/people/9990000018/known").json() == {"known": True}
    assert http.get("/people/9990000000/known").json() == {"known": False}


def test_match_returns_the_rows_of_the_batch(http: TestClient) -> None:
    """Rows match on all columns; what is no batch is a bad request."""
    batch = {"batch": [{"nhs_number": "9990000026"}, {"nhs_number": "9990000000"}]}
    found = http.post("/match", json=batch).json()["records"]
    assert [row["nhs_number"] for row in found] == ["9990000026"]
    assert http.post("/match", json={"batch": [{}]}).status_code == 400


def test_append_accepts_anything(http: TestClient) -> None:
    """A department refuses nothing: that is the gateway's task."""
    assert http.post("/people", json={"any": "thing"}).status_code == 202


def test_a_file_is_served_byte_for_byte(http: TestClient) -> None:
    """A file has its bytes and its media type."""
    answer = http.get("/file.csv")
    assert answer.text == TABLE
    assert answer.headers["content-type"].startswith("text/csv")


def test_a_table_is_served_as_parquet(http: TestClient) -> None:
    """The same rows: whole numbers as numbers, everything else as text."""
    answer = http.get("/file.parquet")
    rows = pq.read_table(pa.BufferReader(answer.content)).to_pylist()
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert rows == [
        {"nhs_number": 9990000018, "area": "E06999001"},
        {"nhs_number": 9990000026, "area": "E06999002"},
    ]


def test_a_replacement_stands_in_at_its_path_alone(
    http: TestClient, replacements: Replacements
) -> None:
    """The note changes what one path serves, until it is taken away."""
    replacements.set("/people", "others.csv")
    assert http.get("/people").json()["records"] == [{"nhs_number": "9990000034"}]
    assert len(http.get("/file.csv").text) == len(TABLE)
    replacements.clear()
    assert len(http.get("/people").json()["records"]) == 2


def test_reads_the_built_in_departments() -> None:
    """Every operation of the pack has its file."""
    for operation in read_department(BUILT_IN):
        assert (BUILT_IN / DATA_FOLDER / operation.file).is_file()


@pytest.mark.parametrize(
    "operation",
    [
        "{method: GET, path: /a}",
        "{method: GET, path: /a, table: t.csv, known: t.csv}",
        "{method: GET, path: /a, table: ../t.csv}",
        "{method: GET, path: /a, table: t.csv, colour: red}",
        "{path: /a, table: t.csv}",
        "{method: POST, path: /a, match: t.csv, on: 5}",
        "{method: POST, path: /a, match: t.csv, on: [5]}",
        "{method: GET, path: a, table: t.csv}",
        "{method: GET, path: '/a/{b', table: t.csv}",
        "{method: G T, path: /a, table: t.csv}",
        '{method: GET, path: /a, file: t.csv, media_type: "text/plain\\r\\nX: y"}',
        "5",
    ],
)
def test_refuses_what_no_department_can_do(tmp_path: Path, operation: str) -> None:
    """An operation without, or with two ways to answer, or a file elsewhere, is refused."""
    path = tmp_path / "services.yaml"
    path.write_text(f"department:\n  one:\n    - {operation}\n")
    with pytest.raises(PackInvalid) as refused:
        read_department(tmp_path)
    assert str(refused.value).startswith(f"{path}:3:7: department of one: ")


def test_a_department_is_a_list(tmp_path: Path) -> None:
    """A department may have nothing to offer, and nothing but operations."""
    path = tmp_path / "services.yaml"
    path.write_text("department: {one: null}\n")
    assert read_department(tmp_path) == ()
    path.write_text("department: {one: {}}\n")
    with pytest.raises(PackInvalid, match=f"^{path}:1:14: department of one: a list"):
        read_department(tmp_path)


@pytest.mark.parametrize(
    ("content", "asked", "said"),
    [
        (None, "/people", "No such file or directory"),
        (b"nhs_number\n\xff\n", "/people", "can't decode"),
        (b"a,b\n1,2,3\n4\n", "/file.parquet", None),
        (b"area\nE1\n", "/match", "nhs_number"),
    ],
)
def test_a_file_that_is_not_fit_is_told_in_one_line(
    http: TestClient,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
    asked: str,
    said: str | None,
) -> None:
    """The request fails, and whoever runs the demo reads why."""
    path = tmp_path / DATA_FOLDER / "people.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    body = {"batch": [{"nhs_number": "1"}]}
    answer = http.post(asked, json=body) if asked == "/match" else http.get(asked)
    if said is None:
        assert answer.status_code == 200
        return
    assert answer.status_code == 500
    (line,) = caplog.messages
    assert line.startswith("department: data/people.csv: ")
    assert said in line
