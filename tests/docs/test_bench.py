"""What scripts/bench prints and writes of figures."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as bench
from benchmarks import page
from benchmarks.plot import svg
from benchmarks.processes import pss_mib, resident_mib, run, tree
from benchmarks.report import Bound, Figure, compared, decode, encode, missing, table

FIGURES = [
    Figure("Downloads", "s5cmd", "s", 2.0, is_other=True),
    compared(Figure("Downloads", "init container", "s"), [2.1, 9.0, 2.2], "s5cmd", [2.0, 9.0, 2.0], Bound(1.1)),
    Figure("Downloads", "a <slow> one", "s", 1234.5, "s5cmd", 617.25, Bound(1.1)),
    Figure("Rates", "requests", "requests/s", 5000, bound=Bound(4000, is_least=True)),
    missing("Rates", "in a cluster", "needs a KUBECONFIG", Bound(1.2)),
]


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    assert (FIGURES[1].value, FIGURES[1].ratio) == (2.2, 1.05)


def test_rounds_of_different_numbers_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        compared(Figure("", "", "s"), [1], "other", [1, 2])


def test_a_bound_is_one_of_the_ratio_if_there_is_one() -> None:
    assert [figure.is_met for figure in FIGURES] == [None, True, False, True, None]


def test_a_table_has_the_columns_that_are_needed() -> None:
    assert table(FIGURES[3:]) == (
        "|              | value              | bound  |     |\n"
        "| ------------ | ------------------ | ------ | --- |\n"
        "| requests     | 5,000 requests/s   | ≥ 4000 | met |\n"
        "| in a cluster | needs a KUBECONFIG | ≤ 1.2  |     |\n"
    )


def test_a_report_is_read_as_it_was_written() -> None:
    assert decode(encode("scripts/bench admission", FIGURES)) == FIGURES


def test_a_plot_is_svg_with_a_bar_for_each_value_that_has_others_beside_it() -> None:
    root = ElementTree.fromstring(svg(FIGURES))  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    assert [bar.get("class") for bar in root.iter(f"{space}rect")] == ["bar", "bar ours", "bar ours"]
    texts = [text.text for text in root.iter(f"{space}text")]
    assert "a <slow> one" in texts
    assert "1,234 s" in texts


def test_the_memory_of_a_command_is_that_of_its_processes() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    child = "import time; block = bytearray(100 << 20); time.sleep(1)"
    measured = run([sys.executable, "-c", program, child], {})
    assert 100 < measured.memory < 200
    assert measured.seconds > 1


def test_a_command_that_fails_says_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match="no such model"):
        run([sys.executable, "-c", "import sys; sys.exit('no such model')"], {})


def test_a_process_that_has_ended_has_no_memory() -> None:
    with subprocess.Popen([sys.executable, "--version"]) as process:
        process.wait()
    assert (pss_mib(process.pid), resident_mib(process.pid), tree(process.pid)) == (0, 0, [process.pid])


@pytest.mark.parametrize(("figures", "status"), [(FIGURES[:2], 0), (FIGURES, 1)])
def test_the_exit_status_says_whether_a_bound_is_missed(
    figures: list[Figure],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(
        bench.AREAS, "admission", (lambda _work, rounds: iter(figures * (rounds == 5)), "", (bench.ROUNDS,))
    )
    file = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", ["bench", "admission", "--json", str(file), "--plot", str(tmp_path / "plots")])
    assert bench.main() == status
    assert "Downloads\n\n|" in capsys.readouterr().out
    assert '"scripts/bench admission --rounds 5"' in file.read_text()
    assert (tmp_path / "plots" / "admission.svg").read_text() == svg(figures)


@pytest.mark.parametrize("area", [*bench.AREAS, "page"])
def test_every_subcommand_stands_on_the_page_of_its_figures(area: str) -> None:
    assert f"`scripts/bench {area}" in (bench.ROOT / page.PAGE).read_text()


@pytest.mark.parametrize("area", bench.AREAS)
def test_the_page_has_a_place_for_the_tables_of_every_subcommand(area: str) -> None:
    assert f"<!-- scripts/bench {area} -->\n" in (bench.ROOT / page.PAGE).read_text()


def test_the_tables_and_plots_are_those_of_the_reports() -> None:
    for name, content in page.files(bench.ROOT).items():
        assert (bench.ROOT / name).read_text() == content, "run scripts/bench page"


def test_the_page_gets_the_figures_the_command_and_the_machine_of_a_report(tmp_path: Path) -> None:
    (tmp_path / page.REPORTS).mkdir(parents=True)
    written = tmp_path / page.PAGE
    written.write_text("# Performance\n\n<!-- scripts/bench fetch -->\nold\n<!-- end -->\n\nThe end.\n")
    (tmp_path / page.REPORTS / "fetch.json").write_text(encode("scripts/bench fetch --rounds 5", FIGURES))
    page.write(tmp_path)
    text = written.read_text()
    assert text.startswith(
        "# Performance\n\n<!-- scripts/bench fetch -->\n\nMeasured with `scripts/bench fetch --rounds 5`"
    )
    assert "![Bars of the figures below](performance/fetch.svg)\n\n**Downloads**\n\n|" in text
    assert text.endswith("|\n\n<!-- end -->\n\nThe end.\n")
    assert (tmp_path / "docs/performance/fetch.svg").read_text() == svg(FIGURES)
    page.write(tmp_path)
    assert written.read_text() == text
