"""Tables of the claims as text: for the notebook, for a README, and for a paper."""

import pandas as pd

from cmgan.study.claims.judging import JudgedRun, claims_frame
from cmgan.study.claims.verdicts import Effect
from cmgan.study.claims.words import effect_in_words, estimate_in_words, rule_of, sample_in_words
from cmgan.study.report.tables import Table


def claims_text(run: JudgedRun) -> pd.DataFrame:
    """The table of claims as text: claim, title, verdict, effect (of the prediction that stands for it), why."""
    rows = [
        {
            "claim": claim.claim.id,
            "title": claim.claim.title,
            "verdict": str(claim.verdict),
            "effect": f"{claim.leading.prediction.says}: {effect_in_words(claim.leading.found)}"
            if isinstance(claim.leading.found, Effect)
            else "",
            "why not decided": claim.reason,
        }
        for claim in run.claims
    ]
    return pd.DataFrame(rows)


def predictions_text(run: JudgedRun) -> pd.DataFrame:
    """Every prediction and control as text: prediction, what it says, its rule, what was found, its verdict."""
    judged = [one for claim in run.claims for one in claim.predictions]
    judged += [control.judged for control in run.controls]
    rows = [
        {
            "prediction": one.prediction.id,
            "if it holds": one.prediction.says + ("" if one.prediction.decides else " (decides nothing)"),
            "rule": rule_of(one),
            "found": effect_in_words(one.found),
            "verdict": str(one.verdict),
        }
        for one in judged
    ]
    return pd.DataFrame(rows)


def claims_markdown(run: JudgedRun) -> str:
    """The table of claims in Markdown, for a README: claim, verdict, and the effect or why there is no verdict."""
    rows = [
        f"| {row.claim} {row.title} | {row.verdict} | {row.effect or row.why} |"
        for row in claims_text(run).rename(columns={"why not decided": "why"}).itertuples()
    ]
    return "\n".join(["| claim | verdict | on what |", "|---|---|---|", *rows]) + "\n"


def claims_table(run: JudgedRun) -> Table:
    """Verdict, effect and n of every claim, for a paper."""
    rows = [
        {
            "": claim.claim.id,
            "claim": claim.claim.title,
            "verdict": str(claim.verdict),
            "effect, 95 % interval": estimate_in_words(found) if isinstance(found, Effect) else "–",
            "n": sample_in_words(found) if isinstance(found, Effect) else "–",
        }
        for claim, found in ((claim, claim.leading.found) for claim in run.claims)
    ]
    return Table(
        "claims",
        "Verdicts on the claims",
        "Effect of the prediction that stands for each claim with its 95 % interval over n; verdicts are decided by "
        f"intervals of {100 * run.level:.2f} % and need every seed to agree.",
        claims_frame(run),
        pd.DataFrame(rows),
    )
