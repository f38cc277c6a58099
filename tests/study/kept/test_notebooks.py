import base64
import io

import nbformat
import numpy as np
import pytest
from PIL import Image

from cmgan.study.kept.notebooks import NOT_KEPT, WIDEST_PIXELS, keep_notebooks, publishable, shrunk
from tests.study.report.executed import executed_notebook

new = nbformat.v4
PLACES = {"/home/someone/study/results/run": "results/run", "/home/someone/study": "."}


def _png(width, height, rng=None):
    rng = rng or np.random.default_rng(0)
    pixels = np.repeat(rng.integers(0, 256, (height, width // 4, 3), dtype=np.uint8), 4, axis=1)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, format="PNG")
    return written.getvalue()


def _outputs(*outputs):
    (cell,) = publishable(executed_notebook(*outputs), PLACES).cells
    return cell.outputs


def _displayed(**data):
    return new.new_output(
        "display_data", data={kind.replace("_", "/", 1): value for kind, value in data.items()}
    )


def test_words_tables_and_the_source_stay():
    notebook = executed_notebook(_displayed(text_html="<table></table>", text_plain="a"), source="1 + 1")
    kept = publishable(notebook, PLACES)
    nbformat.validate(kept)
    assert kept.cells[0].source == "1 + 1"
    assert kept.cells[0].outputs[0].data["text/html"] == "<table></table>"


def test_what_papermill_and_widgets_noted_goes():
    kept = publishable(executed_notebook(), PLACES)
    assert set(kept.metadata) == {"kernelspec"}
    assert kept.cells[0].metadata == {}


def test_paths_get_their_names_the_longest_first():
    text = "wrote /home/someone/study/results/run/a.csv in /home/someone/study\n"
    (output,) = _outputs(new.new_output("stream", name="stdout", text=text))
    assert output.text == "wrote results/run/a.csv in .\n"


def test_a_parameter_that_names_a_path_is_renamed_in_the_source():
    notebook = executed_notebook(source='corpus_path = "/home/someone/study/results/run"')
    assert publishable(notebook, PLACES).cells[0].source == 'corpus_path = "results/run"'


def test_warnings_and_errors_which_name_files_go():
    warning = new.new_output("stream", name="stderr", text="/tmp/ipykernel_1/2.py:3: UserWarning")
    error = new.new_output("error", ename="ValueError", evalue="x", traceback=["/usr/lib/python3/x.py"])
    assert _outputs(warning, error) == []


@pytest.mark.parametrize(
    "sound",
    [
        {"text_html": '<audio src="data:audio/wav;base64,UklGRg=="></audio>'},
        {"audio_wav": "UklGRg==", "text_plain": "<Audio>"},
    ],
)
def test_sound_is_replaced_by_a_word_about_it(sound):
    (output,) = _outputs(_displayed(**sound))
    assert output.data == {"text/markdown": NOT_KEPT, "text/plain": NOT_KEPT}


def test_a_figure_stays_embedded_and_becomes_small():
    png = _png(2000, 800)
    (output,) = _outputs(_displayed(image_png=base64.b64encode(png).decode(), text_plain="<Figure>"))
    kept = base64.b64decode(output.data["image/png"])
    assert Image.open(io.BytesIO(kept)).size == (WIDEST_PIXELS, 360)
    assert len(kept) < len(png) / 2


def test_a_figure_that_is_small_already_is_left_as_it_is():
    grey = io.BytesIO()
    Image.new("1", (40, 30)).save(grey, format="PNG", optimize=True)
    assert shrunk(grey.getvalue()) == grey.getvalue()


def test_a_link_to_a_notebook_of_one_training_leads_to_the_first_that_is_kept(tmp_path):
    run = tmp_path / "run"
    (run / "notebooks").mkdir(parents=True)
    link = new.new_markdown_cell(
        "See [training](04_training.ipynb) and [evaluation](05_evaluation.ipynb#finding)."
    )
    names = [
        "02_silence_analysis",
        "04_training-b-0",
        "04_training-a-0",
        "04_training-a-1",
        "05_evaluation-a-0",
    ]
    for name in names:
        nbformat.write(new.new_notebook(cells=[link]), run / "notebooks" / f"{name}.ipynb")
    kept = keep_notebooks(run, tmp_path / "kept", 0, {})
    assert {file.stem for file in kept} == {*names} - {"04_training-a-1"}
    linked = "See [training](04_training-a-0.ipynb) and [evaluation](05_evaluation-a-0.ipynb#finding)."
    assert all(nbformat.read(file, as_version=4).cells[0].source == linked for file in kept)
