import re
from pathlib import Path

from benchmarks.page import blocks, fill

ROOT = Path(__file__).parents[1]


def test_the_table_of_claims_in_the_docs_is_the_one_computed_over_all_seeds():
    computed = (ROOT / "results" / "replication" / "claims.md").read_text()
    assert computed.count("\n| C") == 22
    assert computed in (ROOT / "docs" / "claims.md").read_text()


def test_the_table_of_arms_in_the_readme_is_the_one_computed_over_all_seeds():
    computed = (ROOT / "results" / "replication" / "arms.md").read_text()
    assert "normalised_target" in computed
    assert computed in (ROOT / "docs" / "claims.md").read_text()


def test_the_finding_on_branches_in_the_readme_is_the_one_computed_from_the_kept_run():
    kept = (ROOT / "results" / "branches" / "README.md").read_text().splitlines()
    (finding,) = [line for line in kept if line.startswith("Networks trained with the normalised target")]
    assert finding in " ".join((ROOT / "README.md").read_text().split())


def test_every_file_that_readme_and_docs_link_to_is_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)", page.read_text())
        if "://" not in link
    ]
    assert len(links) > 20
    assert [str(page.parent / link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_tables_on_speed_are_those_of_the_benchmarks():
    page = (ROOT / "docs" / "speed.md").read_text()
    assert fill(page) == page
    assert all(table in page for table in blocks().values())
