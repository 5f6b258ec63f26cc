"""The 25 questions of an audit, asked of a log of the whole pack as the documents say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from gateway.cli import app
from tests.test_tidy import ROOT

PAGE: Final = ROOT / "docs" / "audit-questions.md"
PROGRAM: Final = str(Path(sys.executable).with_name("concordat"))
ROW: Final = re.compile(r"^\| (\d+) \| (.*?) \| `concordat (.*?)` \| (.*) \|$", re.MULTILINE)
COMMANDS: Final = {int(number): words for number, _, words, _ in ROW.findall(PAGE.read_text())}
DAY: Final = "2020-01-01"
NEVER: Final = "2999-01-01"
CHILD: Final = "9992000015"


@dataclass(frozen=True)
class Played:
    """A home in which the whole pack was played, and the exchange of each call."""

    home: Path
    exchanges: dict[str, str]

    def ask(self, words: str, exit_code: int = 0) -> Any:
        """Run a command that writes JSON."""
        return json.loads(self.run(f"{words} --json".replace("--json --json", "--json"), exit_code))

    def run(self, words: str, exit_code: int = 0) -> str:
        """Run a command of the page."""
        known = {"FROM": DAY, "UNTIL": NEVER, "FILE": str(self.home.parent / "watched.csv")}
        typed = [known.get(word, word) for word in words.split()]
        ended = CliRunner().invoke(app, [*typed, "--home", str(self.home)])
        assert ended.exit_code == exit_code, (words, ended.output, ended.exception)
        return ended.stdout


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Play the pack through a real gateway, once."""
    home = tmp_path_factory.mktemp("questions") / "home"
    ended = subprocess.run(
        [PROGRAM, "demo", "--exit", "--json", "--workers", "1", "--home", str(home)],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    calls = json.loads(ended.stdout)["calls"]
    return Played(home, {call["id"]: call["exchange_id"] for call in calls})


def found(page: Any) -> set[str]:
    """Return the exchanges of a page."""
    return {one["exchange_id"] for one in page["exchanges"]}


def q01(log: Played, words: str) -> None:
    """Every permitted access to the child, by organisation and purpose, and nobody's name."""
    page = log.ask(words)
    assert {log.exchanges[call] for call in ("S2A1", "S2A2")} <= found(page)
    assert {one["consumer"] for one in page["exchanges"]} == {"gss:E10999001"}
    assert CHILD not in json.dumps(page)
    assert found(log.ask(words.replace("UNTIL", DAY))) == set()


def q02(log: Played, words: str) -> None:
    """Nothing was permitted on the notice after its end; the one attempt was refused."""
    assert found(log.ask(words)) == set()
    attempts = found(log.ask(words.replace("--decision permit", "")))
    assert attempts == {log.exchanges["S1R1"]}


def q03(log: Played, words: str) -> None:
    """Every version under which something flowed was signed by all of its parties."""
    rows = log.ask(words)["agreements"]
    assert len(rows) >= 5
    flowed = [row for row in rows if row["exchanges"]]
    assert flowed
    assert not any("signed" in fault for row in flowed for fault in row["faults"])


def q04(log: Played, words: str) -> None:
    """Fields, rows and people of the bulk answer, and the digest of what went out."""
    view = log.ask(words.replace("EXCHANGE_ID", log.exchanges["S1A1"]))
    assert (view["records"], view["subjects"]) == (8, 8)
    assert "nhs_number" in view["fields_sent"]
    assert "clinical_reason_code" in view["fields_withheld"]
    assert len(view["sections"]["subject"]["root"]) == 43
    assert view["sections"]["payload"]["response_digest"].startswith("sha-256=:")


def q05(log: Played, words: str) -> None:
    """Somebody of the answer is proved to be in it; somebody else is not."""
    words = words.replace("EXCHANGE_ID", log.exchanges["S1A1"])
    view = log.ask(f"audit show {log.exchanges['S1A1']}")
    people = view["sections"]["subject"]["ids"]
    proved = log.ask(words.replace("9990000018", people[3]))
    assert (proved["among"], proved["complete"], proved["people_named"]) == (True, True, 8)
    assert len(proved["path"]) == 3
    assert log.ask(words.replace("9990000018", CHILD), 1)["among"] is False
    listed = log.ask(f"audit search --person nhs_number:{people[3]}")
    assert log.exchanges["S1A1"] in found(listed)


def q06(log: Played, words: str) -> None:
    """Nine refusals of one client, each with its reason."""
    counts = {one["group"]["reason"]: one["exchanges"] for one in log.ask(words)["counts"]}
    assert counts["PURPOSE_NOT_PERMITTED"] == 1
    assert counts["LEGAL_INSTRUMENT_NOT_IN_FORCE"] == 1
    assert sum(counts.values()) == 9


def q07(log: Played, words: str) -> None:
    """The use is open, then reviewed in time; who did it and why can be opened."""
    urgent = log.exchanges["S2B1"]
    (waiting,) = log.ask(words)["reviews"]
    assert (waiting["exchange_id"], waiting["state"]) == (urgent, "open")
    shown = log.ask(f"audit show {urgent}")["sections"]
    assert shown["payload"]["break_glass"]["reason"]
    assert shown["actor"]["subject"]
    log.run(f"audit note review {urgent} --outcome justified --text SYNTHETIC")
    (done,) = log.ask(words)["reviews"]
    assert (done["state"], done["outcome"]) == ("done", "justified")
    assert log.run(f"audit note review {log.exchanges['S1A1']} --outcome justified", 1) == ""


def q08(log: Played, words: str) -> None:
    """A person of the file was looked up, by a user whose own record it was said to be."""
    actor = log.ask(f"audit show {log.exchanges['S2A1']}")["sections"]["actor"]["subject"]
    rows = f"person,label,staff\nnhs_number:{CHILD},colleague 1,{actor}\nnhs_number:1,nobody,\n"
    (log.home.parent / "watched.csv").write_text(rows)
    looked = log.ask(words, 1)["exchanges"]
    assert log.exchanges["S2A1"] in {one["exchange_id"] for one in looked}
    assert {one["label"] for one in looked} == {"colleague 1"}
    assert any(one["own"] and one["actor"] == actor for one in looked)


def q09(log: Played, words: str) -> None:
    """Where a source sent what no rule allows, it was withheld and somebody must look."""
    leaks = log.ask(words)["exchanges"]
    assert log.exchanges["S1A1"] in {one["exchange_id"] for one in leaks}
    for one in leaks:
        assert one["alert"]
        assert not set(one["fields_never"]) & set(one.get("fields_sent", ()))


def q10(log: Played, words: str) -> None:
    """Nothing is missing, nothing is open, and every end is known."""
    told = log.ask(words)
    assert (told["missing"], told["open"], told["end_unknown"], told["withheld"]) == (0, 0, [], [])
    assert told["records"] > 90


def q11(log: Played, words: str) -> None:
    """The log verifies."""
    assert log.run(words).endswith("verified\n")


def q12(log: Played, words: str) -> None:
    """This very reading is the newest; who it was can be opened."""
    newest = log.ask(words)["exchanges"][0]
    assert (newest["verb"], newest["use"]) == ("find", "self_monitoring")
    record_id = newest["entries"][0]["record_id"]
    opened = log.ask(f"audit show {record_id}")
    assert opened["sections"]["actor"]["via"] == "console"


def q13(log: Played, words: str) -> None:
    """Advice, decisions and signatures; and the change that brought the agreement in."""
    (row,) = log.ask(words)["agreements"]
    steps = {(one["step"], one["role"], one["outcome"]) for one in row["governance"]}
    assert ("dpo_advice", "dpo", "favourable_with_conditions") in steps
    assert ("caldicott_review", "caldicott_guardian", "favourable") in steps
    changes = log.ask("audit search --kind admin.change --agreement DSA-2026-0002")["exchanges"]
    assert [change["verb"] for change in changes][-1] == "apply"
    assert row["digest"] in {
        one["agreement_digest"] for one in log.ask("audit search --agreement DSA-2026-0002")[
            "exchanges"
        ]
    }  # fmt: skip


def q14(log: Played, words: str) -> None:
    """What each agreement lacks, by its name."""
    faults = {row["agreement"]: row["faults"] for row in log.ask(words)["agreements"]}
    assert "no policy document" in faults["DSA-2026-0003"]
    assert "no policy document" not in faults["DSA-2026-0002"]
    assert any(fault.startswith("review overdue") for fault in faults["DSA-2020-0001"])


def q15(log: Played, words: str) -> None:
    """The one disclosure to the police, on its request and decision."""
    assert found(log.ask(words)) == {log.exchanges["S5A1"]}
    shown = log.ask(f"audit show {log.exchanges['S5A1']}")["sections"]["payload"]["context"]
    assert shown["decision_ref"]
    assert shown["operation_ref"]
    by_case = log.ask(f"audit search --case {shown['decision_ref']} --decision permit")
    assert found(by_case) == {log.exchanges["S5A1"]}


def q16(log: Played, words: str) -> None:
    """It is hidden from the person, and the record says on what basis."""
    hidden = {one["exchange_id"]: one for one in log.ask(words)["exchanges"]}
    assert hidden[log.exchanges["S5A1"]]["restriction_basis"]
    assert log.exchanges["S1A1"] not in hidden


def q17(log: Played, words: str) -> None:
    """Records add up, people are counted once, and data classes are named."""
    reached = log.ask(words)
    assert reached["records"] == 16
    assert reached["people"] < reached["people_counted"]
    assert "identifier" in reached["data_classes"]
    assert log.ask("audit reach --client nobody")["people"] == 0


def q18(log: Played, words: str) -> None:
    """The clock runs from awareness; late without a report, and so said."""
    exchange = log.exchanges["S1A1"]
    step = "audit note incident INC-2026-001"
    log.run(f"{step} --step aware --at {DAY} --exchange {exchange}")
    (late,) = log.ask(words, 1)["incidents"]
    assert (late["state"], late["exchanges"]) == ("overdue", [exchange])
    assert late["report_due_us"] - late["aware_us"] == 72 * 3_600_000_000
    log.run(f"{step} --step reported --at 2020-01-03")
    (done,) = log.ask(words)["incidents"]
    assert done["state"] == "done"


def q19(log: Played, words: str) -> None:
    """For each agreement that says so, whether opt-outs apply, and how many rows were dropped."""
    counts = {tuple(one["group"].values()): one["dropped"] for one in log.ask(words)["counts"]}
    assert counts["DSA-2020-0001", "false"] == 0


def q20(log: Played, words: str) -> None:
    """A series by purpose, client and week."""
    counts = log.ask(words)["counts"]
    top = [one for one in counts if one["group"]["client"] == "northvale-shielding-app"]
    assert sum(one["exchanges"] for one in top) == 12
    assert all(int(one["group"]["week"]) % 604_800_000_000 == 0 for one in counts)


def q21(log: Played, words: str) -> None:
    """The register entry stands beside first and last exchange, datasets and parties."""
    (row,) = log.ask(words)["agreements"]
    assert row["register"]
    assert row["exchanges"] == 1
    assert row["first_us"] == row["last_us"]
    assert row["datasets"]
    assert row["parties"]


def q22(log: Played, words: str) -> None:
    """Everything that the decision was made from is named in the record."""
    view = log.ask(words.replace("EXCHANGE_ID", log.exchanges["S3A1"]))
    assert (view["agreement"], view["rule"]) == ("DSA-2026-0003", "R1")
    assert view["agreement_digest"]
    assert view["inputs_digest"].startswith("sha256:")
    assert isinstance(view["revision"], int)
    assert view["vocabulary"]
    assert "@" in view["instrument"]


def q23(log: Played, words: str) -> None:
    """Feedback waits for its owner, and is acknowledged in time."""
    (waiting,) = log.ask(words)["feedback"]
    assert (waiting["exchange_id"], waiting["state"]) == (log.exchanges["S1A3"], "open")
    log.run(f"audit note acknowledge {waiting['exchange_id']} --outcome accepted")
    (done,) = log.ask(words)["feedback"]
    assert (done["state"], done["outcome"]) == ("done", "accepted")


def q24(log: Played, words: str) -> None:
    """What was promised, and the certificate once there is one."""
    promised = {one["agreement"]: one for one in log.ask(words)["disposals"]}
    assert promised["DSA-2020-0001"]["disposal"] == "secure deletion"
    assert promised["DSA-2020-0001"]["certificate"] is None
    log.run("audit note disposal DSA-2020-0001 --certificate CERT-1")
    certified = {one["agreement"]: one for one in log.ask(words)["disposals"]}
    assert certified["DSA-2020-0001"]["certificate"] == "CERT-1"
    assert certified["DSA-2020-0001"]["state"] == "done"


def q25(log: Played, words: str) -> None:
    """No number between 1 and 7, no other that is not a multiple of five, no client."""
    counts = log.ask(words)["counts"]
    assert counts
    for one in counts:
        assert set(one["group"]) == {"agreement", "purpose"}
        numbers = [one[name] for name in ("exchanges", "records", "people", "dropped")]
        assert all(number is None or number % 5 == 0 for number in numbers)
    refused = CliRunner().invoke(
        app, ["audit", "count", "--by", "client", "--public", "--home", str(log.home)]
    )
    assert "public counts" in str(refused.exception)


CHECKS: Final[dict[int, Callable[[Played, str], None]]] = {
    int(name[1:]): check for name, check in globals().items() if re.fullmatch(r"q\d\d", name)
}


def test_there_are_25_questions() -> None:
    """The page has each of them once, and each has its check."""
    assert sorted(COMMANDS) == sorted(CHECKS) == list(range(1, 26))


@pytest.mark.parametrize("number", range(1, 26))
def test_the_log_answers(played: Played, number: int) -> None:
    """The page's command, as it stands there, gives the answer."""
    CHECKS[number](played, COMMANDS[number])
