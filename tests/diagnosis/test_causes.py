"""Signs in training logs of one's own: what is named, what is only noted, and what is left open."""

import numpy as np
import pandas as pd
import pytest

from cmgan.diagnosis import plots, tables
from cmgan.diagnosis.causes import diagnose
from cmgan.diagnosis.claim_verdicts import verdicts_in
from cmgan.diagnosis.falls import find_fall
from cmgan.diagnosis.finding import Finding, Weight
from cmgan.diagnosis.order import order_sign
from cmgan.diagnosis.skips import skip_sign
from cmgan.diagnosis.target import floor_levels, target_sign
from cmgan.diagnosis.text_log import read_text
from cmgan.diagnosis.training_log import make_log
from cmgan.diagnosis.words import headline, in_words
from cmgan.recipe import LossWeights
from cmgan.study.claims.rules import read_claims
from cmgan.study.figure_files import draw, redraw
from cmgan.study.published.logs import read_training_logs

WEIGHTS_OF_REPRODUCER_B = LossWeights(0.3, 0.7, 1.0, 0.01)
SPEECH_SCALE = 0.07


def published_text(run: str) -> list[str]:
    """The published lines of a run in the format in which the public code logs."""
    lines = []
    logs = read_training_logs()
    for row in logs[logs["run"] == run].itertuples():
        epoch = "" if pd.isna(row.epoch) else f" Epoch {row.epoch:.0f},"
        if row.kind == "validation":
            lines.append(
                f"INFO:root:GPU: 0,{epoch} Generator loss: {row.loss:.6f}, Discriminator loss: {row.disc_loss:.6f}"
            )
        else:
            step = "" if pd.isna(row.step) else f" Step {row.step:.0f},"
            loss = "" if pd.isna(row.loss) else f" loss: {row.loss:.6f},"
            lines.append(f"INFO:root:GPU: 0,{epoch}{step}{loss} disc_loss: {row.disc_loss:.6f}")
    return lines


def trained_on(target_scale: float, rng: np.random.Generator, skip_rate: float = 0.0, steps: int = 200):
    """A log of a generator whose estimate grows towards its target's scale, step by step.

    The time loss is computed from signals: mean |gain·speech + error − target_scale·speech|.
    """
    start, end = (0.02, 1.0) if target_scale == 1 else (0.9, 0.3)
    gains = np.linspace(start, end, steps) + 0.03 * rng.standard_normal(steps)
    speech, error = rng.laplace(size=4_000), 0.1 * rng.standard_normal(4_000)
    losses = [np.abs(gain * speech + error - target_scale * speech).mean() for gain in gains]
    skipped = rng.random(steps) < skip_rate
    frame = pd.DataFrame(
        {
            "epoch": np.repeat(np.arange(1, steps // 20 + 1), 20),
            "step": np.arange(1, steps + 1),
            "rank": 0.0,
            "loss": np.exp(rng.normal(-1, 0.1, steps)),
            "disc_loss": np.where(skipped, np.nan, 0.01),
            "skipped": skipped.astype(float),
            "time_loss": losses,
            "gain": gains,
        }
    )
    return make_log("run", frame, pd.DataFrame({"epoch": [1, 2, 3], "pesq": [1.2, 1.5, 1.6]}))


def steps_with(disc_losses):
    return make_log("run", pd.DataFrame({"disc_loss": disc_losses}), pd.DataFrame({"epoch": []}))


def test_an_un_normalised_target_is_named_as_measured(rng):
    diagnosis = diagnose(trained_on(SPEECH_SCALE, rng))
    assert [cause.claim for cause in diagnosis.causes] == ["C12"]
    assert diagnosis.causes[0].weight == Weight.STRONG
    assert not diagnosis.nothing_found


def test_a_healthy_log_with_few_skips_is_called_healthy_and_the_skips_are_noted(rng):
    diagnosis = diagnose(trained_on(1.0, rng, skip_rate=0.04))
    assert diagnosis.nothing_found
    assert headline(diagnosis).startswith("Nothing found")
    assert any(finding.subject == "skipped discriminator steps" for finding in diagnosis.findings)


def test_skips_are_named_where_the_target_is_right_and_come_second_where_it_is_not(rng):
    assert [cause.claim for cause in diagnose(trained_on(1.0, rng, skip_rate=0.56)).causes] == ["C04"]
    causes = diagnose(trained_on(SPEECH_SCALE, rng, skip_rate=0.56)).causes
    assert [cause.claim for cause in causes] == ["C12", "C04"]


@pytest.mark.parametrize("run", ["author-log", "reproducer-B", "user-run-before-fix-epoch16"])
def test_nothing_is_found_in_published_logs_without_a_known_cause(run):
    assert diagnose(read_text(published_text(run), run)).nothing_found


def test_the_floor_is_seen_in_the_published_log_that_stands_on_it():
    diagnosis = diagnose(read_text(published_text("reproducer-A"), "reproducer-A"))
    assert [cause.claim for cause in diagnosis.causes] == ["C12"]
    assert diagnosis.causes[0].weight == Weight.WEAK, "a level alone only fits"


def test_other_loss_weights_move_the_floor_and_clear_the_run_that_had_them():
    log = read_text(published_text("reproducer-B"), "reproducer-B")
    assert target_sign(log, WEIGHTS_OF_REPRODUCER_B).weight == Weight.CLEAR
    assert target_sign(log, LossWeights()).weight == Weight.UNKNOWN


def test_three_quoted_lines_are_too_few_to_tell_anything():
    diagnosis = diagnose(read_text(published_text("user-run-before-fix"), "user-run-before-fix"))
    assert headline(diagnosis).endswith("too little to tell anything")


def test_a_fall_on_the_floor_makes_the_floor_likely():
    epochs = pd.DataFrame(
        {
            "epoch": [2, 7, 14],
            "train_loss": [0.12, 0.11, 0.10],
            "validation_loss": [0.1098, 0.1050, 0.1092],
            "pesq": [2.64, 2.21, 2.07],
        }
    )
    diagnosis = diagnose(make_log("user", pd.DataFrame(), epochs))
    assert diagnosis.causes[0].weight == Weight.MODERATE
    assert diagnosis.causes[0].claim == "C12"
    assert headline(diagnosis).startswith("Likely cause of the fall of PESQ: the time loss")
    assert "PESQ fell after epoch 2" in in_words(diagnosis)


def test_a_fall_without_any_sign_is_not_called_healthy():
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "validation_loss": [0.3, 0.29, 0.28], "pesq": [2.6, 2.5, 2.0]})
    diagnosis = diagnose(make_log("user", pd.DataFrame(), epochs))
    assert diagnosis.unexplained_fall
    assert not diagnosis.nothing_found
    assert "no cause" in headline(diagnosis)


def test_scatter_between_epochs_is_no_fall(rng):
    noisy = 2.5 + rng.normal(0, 0.2, 20)
    log = make_log("run", pd.DataFrame(), pd.DataFrame({"epoch": range(20), "pesq": noisy}))
    assert not find_fall(log).certain
    falling = make_log(
        "run", pd.DataFrame(), pd.DataFrame({"epoch": range(20), "pesq": np.linspace(2.6, 1.8, 20)})
    )
    assert find_fall(falling).certain


def test_a_fall_in_every_utterance_has_an_interval(rng):
    level = rng.normal(0, 0.3, 12)
    utterances = pd.DataFrame(
        [
            {"epoch": epoch, "id": f"u{index}", "pesq": pesq + level[index] + rng.normal(0, 0.02)}
            for epoch, pesq in enumerate([2.0, 2.6, 2.1])
            for index in range(12)
        ]
    )
    means = utterances.groupby("epoch")["pesq"].mean().reset_index()
    fall = find_fall(make_log("run", pd.DataFrame(), means, utterances))
    assert fall.peak_epoch == 1
    assert fall.certain
    assert fall.low < 0.5 < fall.high


def test_small_losses_are_no_skips_and_zeros_are():
    near = skip_sign(steps_with([4e-6, 3e-6, 1.6e-5] * 10))
    assert near.numbers["skipped"] == 0
    assert near.numbers["nearly_zero"] == 30
    assert near.weight == Weight.CLEAR
    half = skip_sign(steps_with([0.0, 0.01] * 30))
    assert half.weight.is_cause()
    assert half.numbers["low"] < 0.5 < half.numbers["high"]


def test_the_upper_bound_of_the_skip_share_is_that_of_clopper_and_pearson():
    assert skip_sign(steps_with([0.01] * 20)).numbers["high"] == pytest.approx(1 - 0.025 ** (1 / 20))


@pytest.mark.parametrize("repeats", [True, False])
def test_a_repeated_order_is_told_from_a_new_one(repeats, rng):
    content = rng.normal(0, 0.3, 40)
    epochs = [content if repeats else rng.permutation(content) for _ in range(6)]
    losses = np.exp(np.concatenate([epoch + rng.normal(0, 0.2, 40) for epoch in epochs]))
    steps = pd.DataFrame({"epoch": np.repeat(range(6), 40), "step": range(240), "rank": 0, "loss": losses})
    finding = order_sign(make_log("run", steps, pd.DataFrame({"epoch": []})))
    assert finding.weight == (Weight.NOTE if repeats else Weight.CLEAR)
    assert (finding.numbers["agreement"] > 0.3) == repeats


def test_losses_that_only_fall_within_each_epoch_are_no_repeated_order(rng):
    falling = np.tile(np.linspace(0.5, -0.5, 60), 5)
    losses = np.exp(falling + rng.normal(0, 0.2, 300))
    steps = pd.DataFrame({"epoch": np.repeat(range(5), 60), "step": range(300), "rank": 0, "loss": losses})
    assert (
        order_sign(make_log("run", steps, pd.DataFrame({"epoch": []}))).title
        != "every epoch repeats one order"
    )


def test_published_logs_repeat_one_order_after_the_refactoring_only():
    def sign(run):
        return order_sign(read_text(published_text(run), run)).weight

    assert sign("reproducer-A") == Weight.NOTE
    assert sign("reproducer-B") == Weight.CLEAR


def test_the_floor_follows_the_weight_of_the_time_loss():
    for weight in (0.0, 0.2, 1.0):
        bound, floor, high = floor_levels(LossWeights(time=weight))
        assert bound <= floor <= high
    assert floor_levels(LossWeights(time=0.0))[0] == pytest.approx(floor_levels(LossWeights(time=0.0))[1])


def test_code_and_log_together_are_strong_and_code_against_the_log_is_a_note(rng):
    found = Finding("time target", Weight.MODERATE, "in code", "", "C12", "change", "train.py:7")
    both = diagnose(read_text(published_text("reproducer-A"), "A"), code=[found])
    assert both.causes[0].weight == Weight.STRONG
    assert both.causes[0].place == "train.py:7"
    against = diagnose(trained_on(1.0, rng), code=[found])
    assert against.nothing_found
    assert any(f.place == "train.py:7" and f.weight == Weight.NOTE for f in against.findings)


def test_a_diagnosis_as_dictionary_has_no_nan(rng):
    plain = diagnose(trained_on(1.0, rng)).as_dictionary()
    numbers = [value for finding in plain["findings"] for value in finding["numbers"].values()]
    assert all(value is None or value == value for value in numbers)
    assert plain["nothing_found"]


def test_the_tables_of_the_notebook_have_a_row_per_run_and_their_figure_is_drawn_from_its_csv(rng, tmp_path):
    logs = [
        trained_on(1.0, rng),
        read_text(["Epoch 2, train_loss: 0.12, test_loss: 0.11, pesq: 2.6"], "short"),
    ]
    answers = tables.answers([diagnose(log) for log in logs])
    assert answers["steps"].tolist()[0] == 200
    assert answers["run"].tolist() == ["run", "short"]
    frame = tables.courses(logs)
    assert set(frame["quantity"]) == {"pesq", "train_loss", "disc_loss", "validation_loss"}
    figure = draw(plots.courses, frame, tmp_path, "courses")
    assert [axis.get_title() for axis in figure.axes] == list(plots.TITLES.values())
    assert redraw(tmp_path, {"courses": plots.courses}) == ["courses"]


def test_every_cause_rests_on_a_claim_of_the_study_and_says_which(rng):
    titles = {claim.id: claim.title for claim in read_claims().claims}
    diagnosis = diagnose(trained_on(SPEECH_SCALE, rng, skip_rate=0.56))
    text = in_words(diagnosis)
    assert all(f"claim {cause.claim}: {titles[cause.claim]}" in text for cause in diagnosis.causes)
    assert {finding.claim for finding in diagnosis.findings} - {""} <= set(titles)


def test_a_cause_comes_with_the_verdict_on_its_claim(rng, tmp_path):
    pd.DataFrame({"claim": ["C12", "C12", "K1"], "claim_verdict": ["supported", "supported", None]}).to_csv(
        tmp_path / "claims.csv", index=False
    )
    verdicts = verdicts_in(tmp_path / "claims.csv")
    assert verdicts == {"C12": "supported"}
    assert "(supported by the report)" in in_words(diagnose(trained_on(SPEECH_SCALE, rng)), verdicts)
    (tmp_path / "claims.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"not the claims\.csv of a report"):
        verdicts_in(tmp_path / "claims.csv")
