"""Whole diagnoses: what is named as a cause, what is only noted, and what is left open."""

import json

import pandas as pd
import pytest

from cmgan.commands.outcome import print_json
from cmgan.diagnosis import causes
from cmgan.diagnosis.causes import diagnose, headline, in_words, verdicts_in
from cmgan.diagnosis.findings import Finding, Weight
from cmgan.diagnosis.reading import courses, read_text
from cmgan.study.claims.rules import read_claims
from cmgan.study.figure_files import draw
from cmgan.study.training import plots
from tests.diagnosis.logs import SPEECH_SCALE, log_by_epoch, published_log, trained_on

TITLES = {claim.id: claim.title for claim in read_claims().claims}
IN_CODE = Finding("time target", Weight.MODERATE, "in code", "", "C12", "change", "train.py:7")


def claims_of(diagnosis):
    return [cause.claim for cause in diagnosis.causes]


def test_an_un_normalised_target_is_named_as_measured(rng):
    diagnosis = diagnose(trained_on(SPEECH_SCALE, rng))
    assert claims_of(diagnosis) == ["C12"]
    assert diagnosis.causes[0].weight == Weight.STRONG
    assert not diagnosis.nothing_found


def test_a_healthy_log_with_few_skips_is_called_healthy_and_the_skips_are_noted(rng):
    diagnosis = diagnose(trained_on(1.0, rng, skip_rate=0.04))
    assert diagnosis.nothing_found
    assert headline(diagnosis).startswith("Nothing found")
    noted = [finding.subject for finding in diagnosis.findings if finding.weight == Weight.NOTE]
    assert noted == ["skipped discriminator steps"]


def test_skips_are_named_where_the_target_is_right_and_come_second_where_it_is_not(rng):
    assert claims_of(diagnose(trained_on(1.0, rng, skip_rate=0.56))) == ["C04"]
    assert claims_of(diagnose(trained_on(SPEECH_SCALE, rng, skip_rate=0.56))) == ["C12", "C04"]


@pytest.mark.parametrize("run", ["author-log", "reproducer-B", "user-run-before-fix-epoch16"])
def test_nothing_is_found_in_published_logs_without_a_known_cause(run):
    assert diagnose(published_log(run)).nothing_found


def test_the_floor_is_seen_in_the_published_log_that_stands_on_it():
    diagnosis = diagnose(published_log("reproducer-A"))
    assert claims_of(diagnosis) == ["C12"]
    assert diagnosis.causes[0].weight == Weight.WEAK, "a level alone only fits"


def test_three_quoted_lines_are_too_few_to_tell_anything():
    diagnosis = diagnose(published_log("user-run-before-fix"))
    assert headline(diagnosis).endswith("too little to tell anything")


def test_a_fall_on_the_floor_makes_the_floor_likely():
    validation = [0.1098, 0.1050, 0.1092]
    log = log_by_epoch(
        epoch=[2, 7, 14], train_loss=[0.12, 0.11, 0.10], validation_loss=validation, pesq=[2.64, 2.21, 2.07]
    )
    diagnosis = diagnose(log)
    assert (diagnosis.causes[0].weight, diagnosis.causes[0].claim) == (Weight.MODERATE, "C12")
    assert headline(diagnosis).startswith("Likely cause of the fall of PESQ: the time loss")
    assert "PESQ fell after epoch 2" in in_words(diagnosis, TITLES, {})


def test_a_fall_without_any_sign_is_not_called_healthy():
    diagnosis = diagnose(
        log_by_epoch(epoch=[1, 2, 3], validation_loss=[0.3, 0.29, 0.28], pesq=[2.6, 2.5, 2.0])
    )
    assert diagnosis.unexplained_fall
    assert not diagnosis.nothing_found
    assert headline(diagnosis) == "PESQ fell after epoch 1, and the log shows no cause"


def test_a_risen_validation_loss_is_a_cause_only_where_pesq_fell():
    losses = {"train_loss": [0.3, 0.2, 0.1], "validation_loss": [0.03, 0.02, 0.04]}
    fallen = diagnose(log_by_epoch(epoch=[1, 2, 3], pesq=[2.6, 2.5, 2.0], **losses))
    assert claims_of(fallen) == ["C08"]
    assert diagnose(log_by_epoch(epoch=[1, 2, 3], pesq=[2.0, 2.5, 2.6], **losses)).nothing_found


def test_code_and_log_together_are_strong_and_code_against_the_log_is_a_note(rng):
    both = diagnose(published_log("reproducer-A"), code=[IN_CODE])
    assert both.causes[0].weight == Weight.STRONG
    assert both.causes[0].place == "train.py:7"
    against = diagnose(trained_on(1.0, rng), code=[IN_CODE])
    assert against.nothing_found
    assert any(f.place == "train.py:7" and f.weight == Weight.NOTE for f in against.findings)


def test_a_diagnosis_as_json_names_its_weights_and_has_no_nan(rng, capsys):
    print_json(diagnose(trained_on(1.0, rng)).as_dictionary())
    plain = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    numbers = {name: value for finding in plain["findings"] for name, value in finding["numbers"].items()}
    assert numbers["low"] is None, "the log has no utterances to take an interval over"
    assert {finding["weight"] for finding in plain["findings"]} == {"clear"}
    assert plain["nothing_found"]


def test_the_tables_of_the_notebook_have_a_row_per_run_and_their_figure_is_drawn_from_its_csv(rng, tmp_path):
    skipping = Finding("skipped discriminator steps", Weight.WEAK, "in code")
    logs = [
        trained_on(1.0, rng),
        read_text(["Epoch 2, train_loss: 0.12, test_loss: 0.11, pesq: 2.6"], "short"),
    ]
    answers = causes.answers([diagnose(log, code=[skipping]) for log in logs])
    assert answers["run"].tolist() == ["run", "short"]
    assert answers.loc[0, ["steps", "skipped", "peak_epoch", "last"]].tolist() == [200, 0, 3, 1.6]
    assert answers.loc[1, ["steps", "peak_epoch"]].isna().all()
    frame = courses(logs)
    assert set(frame["quantity"]) == {"pesq", "train_loss", "disc_loss", "validation_loss"}
    assert [axis.get_title() for axis in plots.courses(frame).axes] == list(plots.COURSES.values())
    draw(plots.courses, frame, tmp_path, "courses")
    draw(plots.courses, pd.read_csv(tmp_path / "courses.csv"), tmp_path, "courses")


def test_every_cause_rests_on_a_claim_of_the_study_and_says_which(rng):
    diagnosis = diagnose(trained_on(SPEECH_SCALE, rng, skip_rate=0.56))
    text = in_words(diagnosis, TITLES, {})
    assert len(diagnosis.causes) == 2
    assert all(f"claim {cause.claim}: {TITLES[cause.claim]}" in text for cause in diagnosis.causes)
    assert {finding.claim for finding in diagnosis.findings} - {""} <= set(TITLES)


def test_a_cause_comes_with_the_verdict_on_its_claim(rng, tmp_path):
    table = tmp_path / "claims.csv"
    table.write_text("claim,claim_verdict\nC12,supported\nC12,supported\nK1,\n")
    assert verdicts_in(table) == {"C12": "supported"}
    diagnosis = diagnose(trained_on(SPEECH_SCALE, rng))
    assert "(supported by the report)" in in_words(diagnosis, TITLES, verdicts_in(table))
    table.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"not the claims\.csv of a report"):
        verdicts_in(table)
