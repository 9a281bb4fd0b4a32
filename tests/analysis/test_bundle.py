from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.analysis.values import around
from tests.made_up import Builder, arm, study
from vaestudy import metrics
from vaestudy.analysis import protocol
from vaestudy.analysis.bundle import bundle, contents
from vaestudy.analysis.document import Bullets, Cite, Document, Grid, Section, latex, markdown
from vaestudy.analysis.frames import load
from vaestudy.analysis.protocol import Reference
from vaestudy.analysis.stored import as_stored, open_records, record_files
from vaestudy.errors import ConflictError, DataError, DiskError
from vaestudy.registry import Source

ADAM = Source("kingma2015adam", "Kingma, Diederik P. and Ba, Jimmy", "{Adam}", 2015, "arXiv:1412.6980")
REFERENCES = (Reference("optimizer", "adam", ADAM), Reference("optimizer", "adamax", ADAM))


def make(source: Path, out: Path) -> list[Path]:
    return bundle(open_records(source), "version: 1\n", REFERENCES, out)


def contained(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copied(folder: Path, to: Path, more: dict[str, bytes] | None = None) -> None:
    for path, content in {**contained(folder), **(more or {})}.items():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_bytes(content)


@pytest.fixture(scope="module")
def made(two_groups: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper") / "bundle"
    make(two_groups.folder, out)
    return out


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """A small study of several budgets, a target, a pruner and names that LaTeX would trip over."""
    description = r"50 % of {a_b} & #1 ~ $5 ^ \section | ≥ λ <i>"
    more = {
        "description": description,
        "search": {"trials": 3, "sampler": {"name": "tpe"}, "pruner": {"name": "asha"}},
        "confirm": {"seeds": 3, "iwae_samples": 10, "budgets": [1, 3]},
        "target": {"methods": ["adam_w"], "trials": 2, "seeds": 7, "nats": {"w": 25.5}},
        "shared_search": {"train.beta.over": {"choice": [0.0, 0.25]}},
    }
    builder = Builder(tmp_path_factory.mktemp("mixed"), study(("sgd", "adam_w"), **more))
    for method, shift in {"sgd": 0.01, "adam_w": 0.0}.items():
        builder.search(method, [28.0 + shift, 27.0 + shift, None], {1: "pruned"})
        builder.confirm(method, 0, around(28.0 + shift, 3)[:: 1 if shift else -1])
    return builder


# --- the bytes --------------------------------------------------------------------------------------------------------


def test_a_second_bundle_has_the_same_bytes(two_groups: Builder, made: Path, tmp_path: Path) -> None:
    make(two_groups.folder, tmp_path / "again")
    assert contained(tmp_path / "again") == contained(made)


def test_a_bundle_made_from_a_bundles_records_has_the_same_bytes(made: Path, tmp_path: Path) -> None:
    for name in ("study.json", "runs.parquet", "metrics.parquet", "pictures.parquet"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    make(tmp_path, tmp_path / "again")
    assert contained(tmp_path / "again") == contained(made)


def test_columns_of_mixed_types_come_back_from_parquet_as_they_went_in(small: Builder) -> None:
    small.confirm("sgd", 0, [28.0])
    (plan,) = (small.folder / "runs").glob("*/run.json")
    run = json.loads(plan.read_text())
    plan.write_text(json.dumps({**run, "settings": {"lr": "auto", "nesterov": True, "cycles": 4}}))
    small.confirm("adam", 0, [28.0, 28.5])
    once = as_stored(load(small.folder))
    assert record_files(as_stored(once)) == record_files(once) == record_files(load(small.folder))
    assert set(once.runs["setting.lr"]) == {"auto", "0.1"}


def test_the_check_sums_hold_for_every_other_file(made: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (made / "SHA256SUMS").read_text().splitlines())
    files = contained(made)
    del files["SHA256SUMS"]
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_the_check_sums_are_in_the_form_of_sha256sum(made: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=made, check=True)


def test_the_bundle_holds_what_a_paper_needs(made: Path) -> None:
    assert set(contained(made)) >= {
        *("study.yaml", "study.json", "runs.parquet", "metrics.parquet", "runs.csv", "HASHES", "references.bib"),
        *(f"comparison.{form}" for form in ("csv", "parquet", "md", "tex")),
        *("report.html", "search.tex", "protocol.md", "protocol.tex"),
        *("figures/comparison.png", "figures/comparison.svg", "figures/best_of_n.svg"),
    }


def test_every_source_is_in_the_bibliography_once(made: Path) -> None:
    assert (made / "references.bib").read_text() == ADAM.bibtex() + "\n"


# --- the folder -------------------------------------------------------------------------------------------------------


def test_a_bundle_replaces_an_earlier_one_and_leaves_nothing_beside_it(made: Path, tmp_path: Path) -> None:
    copied(made, tmp_path / "paper")
    make(Builder(tmp_path / "results", study()).folder, tmp_path / "paper")
    assert "2 methods" in (tmp_path / "paper" / "protocol.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"results", "paper"}


def test_a_folder_of_something_else_is_left_alone(small: Builder, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("mine")
    with pytest.raises(ConflictError, match=r"not a bundle \(chapter.tex\)"):
        make(small.folder, tmp_path / "thesis")
    assert contained(tmp_path / "thesis") == {"chapter.tex": b"mine"}


@pytest.mark.parametrize("name", ["protocol.md", "notes/mine.txt"])
def test_a_bundle_that_somebody_changed_is_left_alone(made: Path, small: Builder, tmp_path: Path, name: str) -> None:
    copied(made, tmp_path / "paper", {name: b"mine"})
    with pytest.raises(ConflictError, match=rf"changed since the bundle was made: {name};"):
        make(small.folder, tmp_path / "paper")
    assert (tmp_path / "paper" / name).read_bytes() == b"mine"


def test_a_file_in_the_place_of_the_folder_is_left_alone(small: Builder, tmp_path: Path) -> None:
    (tmp_path / "paper").write_text("mine")
    with pytest.raises(ConflictError, match="not a folder"):
        make(small.folder, tmp_path / "paper")


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left_there(small: Builder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/paper: .*--paper"):
        make(small.folder, tmp_path / "file" / "paper")


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"study\.json"):
        open_records(tmp_path)


def test_damaged_parquet_is_named(made: Path, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_bytes((made / "study.json").read_bytes())
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot be read"):
        open_records(tmp_path)


# --- the text ---------------------------------------------------------------------------------------------------------


def test_the_protocol_states_this_studys_numbers(mixed: Builder) -> None:
    text = markdown(protocol.protocol(open_records(mixed.folder), REFERENCES))
    for said in (
        "1 workload and 2 methods",
        "cap of 5 epochs",
        "| sgd | sgd | – | lr: log-uniform [0.0001, 1] | 2 |",
        "Searched within every method alike: train.beta.over: one of [0, 0.25].",
        "3 trials for each method",
        "sampler tpe: stage P (model-based trials: tpe)",
        "The pruner asha (factor 3, grace 1 epochs)",
        "budgets of n = 1, 3 trials",
        "under 3 fresh seeds",
        "with 10 samples",
        "best setting of adam_w after the first 2 trials, run again under 7 seeds",
        "w: 25.5 nats, declared",
        "12 runs and 1200 gradient evaluations",
        "Each search was made once",
        "The primary score, declared before the first trial, is the test NLL",
        "a mean over 50 draws of the code",
        "Each method was searched once: this compares these winners",
        "paired by seed; their intervals hold for all pairs of methods at once, 1 in all",
        "retried with the same seed up to 2 times",
        "| stage | reached the cap | pruned | cancelled | lost | open | diverged | collapsed | undertrained | gradient",
        "| w | sgd | search | 1 | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 300 |",
        "| w | adam_w | confirm | 3 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 300 |",
        "| optimizer | adam | [@kingma2015adam] |",
    ):
        assert said in text, said


def test_the_protocol_of_several_searches_says_what_replicates_are_for(tmp_path: Path) -> None:
    methods = {"adam": arm(), "sgd": arm("sgd"), "ivon": arm("ivon", {"ess": 100.0})}
    made = study(methods, search={"trials": 3, "replicates": 4}, target={"seeds": 5})
    text = markdown(protocol.protocol(open_records(Builder(tmp_path, made).folder), REFERENCES))
    for said in (
        "made 4 times, under seeds of its own: 4 replicates",
        "among the first n trials of each replicate",
        "after all trials in the first replicate, run again under 5 seeds",
        "averaged over 400 draws of the decoder's weights",
        "a replicate's score is the mean over its sound seeds",
        "paired by replicate; their intervals hold for all pairs of methods at once, 3 in all",
        "with the effective number of runs where those of a replicate end alike",
    ):
        assert said in text, said


def test_the_protocols_thresholds_are_those_by_which_runs_are_judged() -> None:
    mine = (protocol.COLLAPSE_KL_NATS, protocol.COLLAPSE_MARGIN_NATS, protocol.ACTIVE_VARIANCE)
    assert mine == (metrics.COLLAPSE_KL_NATS, metrics.COLLAPSE_MARGIN_NATS, metrics.ACTIVE_VARIANCE)


def test_code_data_and_hardware_are_named_as_recorded(small: Builder) -> None:
    path = small.folder / "study.json"
    environment = {"code": "abc", "data": {"digits": "d1"}, "hardware": {"gpus": ["H100", "H100"]}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "environment": environment}))
    found = protocol.identities(open_records(small.folder))
    assert list(found.items())[-3:] == [("code", "abc"), ("data.digits", "d1"), ("hardware.gpus", "H100, H100")]


def test_the_hashes_of_study_space_workload_and_method_are_in_the_bundle(two_groups: Builder, made: Path) -> None:
    lines = [line.split(": ", 1) for line in (made / "HASHES").read_text().splitlines()]
    assert lines == [[name, value] for name, value in protocol.identities(open_records(two_groups.folder)).items()]
    assert [name for name, _ in lines[:4]] == ["study", "space", "workload.w", "method.sgd"]


def test_what_was_not_recorded_is_said_to_be_so(small: Builder) -> None:
    path = small.folder / "study.json"
    facts = json.loads(path.read_text())
    facts.pop("environment", None)
    path.write_text(json.dumps(facts))
    assert protocol.identities(open_records(small.folder))["hardware"] == "not recorded"


@pytest.mark.parametrize("name", ["protocol.tex", "comparison.tex", "search.tex"])
def test_latex_is_well_formed_whatever_the_study_says(mixed_tex: dict[str, str], name: str) -> None:
    assert faults(mixed_tex[name]) == []


def test_latex_sets_the_best_in_bold_and_marks_what_cannot_be_told_apart(mixed_tex: dict[str, str]) -> None:
    rows = [line for line in mixed_tex["comparison.tex"].splitlines() if "textbf" in line or "dagger}$ &" in line]
    assert [row.count(r"\textbf") for row in rows] == [2, 0, 2, 0]  # at budgets 1 and 3: the method and its NLL
    assert [r"$^{\dagger}$" in row for row in rows] == [False, True, False, True]


def test_a_minus_sign_is_no_hyphen(made: Path) -> None:
    assert not re.search(r" -\d", (made / "comparison.tex").read_text())


def test_a_document_is_set_in_both_forms() -> None:
    grid = Grid(("a", "b"), (("[x]", Cite("key")),), (0.5, 0.4))
    made = Document("T", (Section("S", ("one_two", Bullets(("[i]",)), grid)),))
    assert markdown(made) == "# T\n\n## S\n\none_two\n\n- [i]\n\n| a | b |\n| --- | --- |\n| [x] | [@key] |\n"
    text = latex(made)
    assert r"\section{T}" in text and r"\subsection{S}" in text and r"one\_two" in text
    assert r"\item {}[i]" in text  # else LaTeX would read the item's label
    assert r"{}[x] & \cite{key} \\" in text  # else the space after the row before
    assert r"\begin{tabular}{p{0.50\linewidth}p{0.40\linewidth}}" in text


@pytest.fixture(scope="module")
def mixed_tex(mixed: Builder) -> dict[str, str]:
    files = contents(open_records(mixed.folder), "", REFERENCES)
    return {name: content.decode() for name, content in files.items() if name.endswith(".tex")}


def faults(source: str) -> list[str]:
    """What would stop LaTeX: unbalanced braces or environments, unescaped characters, rows of unequal length."""
    text = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    bare = re.sub(r"\\[&%_#${}\\]", "", text)
    found = [f"bare {character}" for character in "#%_~" if character in bare]
    found += ["odd number of $"] if bare.count("$") % 2 else []
    found += ["^ outside mathematics"] if "^" in re.sub(r"\$[^$]*\$", "", bare) else []
    found += ["unbalanced braces"] if bare.count("{") != bare.count("}") else []
    found += ["not ASCII"] if not text.isascii() else []
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", text):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            found.append(f"end of {name}")
    for table in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.S):
        lengths = {len(re.findall(r"(?<!\\)&", row)) for row in table.strip().splitlines()}
        found += ["rows of unequal length"] if len(lengths) != 1 else []
    return found + [f"open {name}" for name in opened]
