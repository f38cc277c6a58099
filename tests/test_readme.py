import re
from pathlib import Path

import pytest

from docs.fill import BLOCKS, PAGES, filled

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_stands_between_marks_is_what_was_computed(page: Path):
    assert filled(page.read_text()) == page.read_text()


def test_every_computed_block_stands_on_a_page():
    text = "".join(page.read_text() for page in PAGES)
    assert all(block() in text for block in BLOCKS.values())
    assert BLOCKS["claims"]().count("\n| C") == 22
    assert "normalised_target" in BLOCKS["arms"]()
    assert "Networks trained with the normalised target" in BLOCKS["branches"]()


def test_a_mark_that_nothing_fills_is_refused():
    with pytest.raises(ValueError, match="nothing fills weather: name one of objective"):
        filled("<!-- weather -->\nrain\n<!-- end of weather -->\n")


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
