import shutil

import nbformat
import pandas as pd
import pytest
import yaml

from cmgan.study.claims.verdicts import judge_run
from cmgan.study.comparison.evaluation import compare
from cmgan.study.kept import run as keep
from cmgan.study.kept.run import comparison_again, keep_run
from cmgan.study.report.figures import draw_figures, figure_frames
from cmgan.study.report.page import write_report
from cmgan.study.run_results import load_run
from tests.simulated_run import simulate_run
from tests.study.report.executed import write_executed


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = simulate_run(tmp_path_factory.mktemp("results") / "run", epochs=3, utterances=3, test_utterances=6)
    settings = yaml.safe_load((root / "profile.yaml").read_text())
    (root / "profile.yaml").write_text(yaml.safe_dump(settings | {"corpus_path": "/home/someone/speech"}))
    manifest = pd.read_csv(root / "data" / "manifest.csv")
    for kind in ("clean", "noisy"):
        manifest[f"{kind}_path"] = [f"/home/someone/speech/test/{kind}/{name}.wav" for name in manifest["id"]]
    manifest.to_csv(root / "data" / "manifest.csv", index=False)
    (root / "training" / "published-0" / "generator.pt").write_bytes(b"network")
    for name in ("01_data_preparation", "04_training-published-0", "04_training-published-1"):
        write_executed(
            root / "notebooks" / f"{name}.ipynb", f"prepared /home/someone/speech under {root}/data\n"
        )
    results = load_run(root)
    compared, judged = compare(results), judge_run(results)
    figures = draw_figures(figure_frames(results, compared, judged), root / "report" / "figures")
    write_report(results, compared, judged, figures)
    return root


def test_a_kept_run_has_its_report_and_tables_but_no_network_and_no_path_of_the_machine(finished, tmp_path):
    report = keep_run(finished, tmp_path / "kept")
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert report in kept
    assert tmp_path / "kept" / "training" / "published-0" / "epochs.csv" in kept
    assert not [path for path in kept if path.suffix in {".pt", ".wav"}]
    assert not [path for path in kept if b"/home/someone" in path.read_bytes()]
    assert load_run(tmp_path / "kept").arms == load_run(finished).arms


def test_executed_notebooks_are_kept_of_one_seed_with_names_for_paths(finished, tmp_path):
    keep_run(finished, tmp_path / "kept")
    kept = {
        file.stem: nbformat.read(file, as_version=4) for file in (tmp_path / "kept" / "notebooks").iterdir()
    }
    assert sorted(kept) == ["01_data_preparation", "04_training-published-0"]
    (cell,) = kept["01_data_preparation"].cells
    assert cell.outputs[0].text == f"prepared speech under results/{finished.name}/data\n"


def test_the_comparison_is_executed_on_a_kept_run_and_kept_without_paths(finished, tmp_path, monkeypatch):
    def execute(notebook, executed, parameters, _shown):
        assert parameters == {"run": "kept", "arms": ["published", "normalised_target"], "seeds": [0, 1]}
        write_executed(executed, f"read {notebook}\n")

    monkeypatch.setattr(keep, "run_notebook", execute)
    keep_run(finished, tmp_path / "kept")
    (cell,) = nbformat.read(comparison_again(tmp_path / "kept"), as_version=4).cells
    assert cell.outputs[0].text == "read notebooks/07_comparison_report.ipynb\n"


def test_a_path_left_in_a_table_is_refused_by_name(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "evidence").mkdir()
    (run / "evidence" / "logs.csv").write_text("log\n/home/someone/speech/train.log\n")
    with pytest.raises(ValueError, match=r"logs\.csv names /home/someone/speech"):
        keep_run(run, tmp_path / "kept")


def test_what_lies_in_the_folder_already_is_not_overwritten(finished, tmp_path):
    (tmp_path / "README.md").write_text("about this run")
    (tmp_path / "claims.csv").write_text("")
    with pytest.raises(ValueError, match="holds something already"):
        keep_run(finished, tmp_path)


def test_an_unfinished_run_is_not_kept(tmp_path):
    with pytest.raises(FileNotFoundError, match="finish the run first"):
        keep_run(simulate_run(tmp_path / "run", epochs=2), tmp_path / "kept")
