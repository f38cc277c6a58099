"""Signs in training code, which is read without being run."""

import pytest

from cmgan.diagnosis.model_code import code_findings

PUBLIC_CODE = """
import torch
raise SystemExit("this file must never be executed")
def batch_pesq(clean, noisy):
    scores = np.array(Parallel(n_jobs=-1)(delayed(pesq_loss)(c, n) for c, n in zip(clean, noisy)))
    if -1 in scores:
        return None
    return torch.FloatTensor((scores - 1) / 3.5)
def wss(clean, processed):
    return clean / 32768
class Trainer:
    def forward_generator_step(self, clean, noisy):
        c = torch.sqrt(noisy.size(-1) / torch.sum((noisy**2.0), dim=-1))
        noisy, clean = torch.transpose(noisy * c, 0, 1), torch.transpose(clean * c, 0, 1)
        return {"est_audio": self.model(noisy), NORMALISED}
    def loss(self, outputs):
        return torch.mean(torch.abs(outputs["est_audio"] - outputs["clean"]))
    def train_step(self, batch):
        clean, noisy = batch[0].to(self.gpu), batch[1].to(self.gpu)
        outputs = self.forward_generator_step(clean, noisy)
        PUBLISHED
        return self.loss(outputs)
loader = DataLoader(train, sampler=DistributedSampler(train))
"""
PUBLISHED = PUBLIC_CODE.replace("NORMALISED", '"est_mag": 0').replace("PUBLISHED", 'outputs["clean"] = clean')
NORMALISED = PUBLIC_CODE.replace("NORMALISED", '"clean": clean').replace("PUBLISHED", "pass")


def places_in(tmp_path, code):
    """The line of each finding by its claim."""
    path = tmp_path / "train.py"
    path.write_text(code)
    places = {finding.claim: finding.place.rpartition(":") for finding in code_findings(path)}
    assert {place[0] for place in places.values()} <= {str(path)}
    return {claim: code.splitlines()[int(line) - 1].strip() for claim, (_, _, line) in places.items()}


def test_published_code_shows_its_faults_with_their_lines_and_is_not_executed(tmp_path):
    assert places_in(tmp_path, PUBLISHED) == {
        "C12": "clean, noisy = batch[0].to(self.gpu), batch[1].to(self.gpu)",
        "C04": "return None",
        "C13": "loader = DataLoader(train, sampler=DistributedSampler(train))",
        "C17": "return clean / 32768",
    }


def test_a_target_that_comes_out_of_the_normalising_function_is_left_alone(tmp_path):
    assert set(places_in(tmp_path, NORMALISED)) == {"C04", "C13", "C17"}


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("clean * c", False),
        ("(clean * c)[:, :length]", False),
        ("clean[:, :length]", True),
        ("clean.squeeze(1)", True),
        ("torch.squeeze(clean, 1)", True),
        ("normalise(clean)", False),
        ("batch['clean']", True),
        ("scaled_clean", False),
        ("moved_clean", True),
    ],
)
def test_the_clean_signal_is_followed_to_the_loss(target, found, tmp_path):
    code = (
        "def step(clean, noisy, c, length, batch):\n"
        "    est_audio, moved_clean = model(noisy * c), clean.cuda()\n"
        "    scaled_clean = moved_clean\n"
        "    scaled_clean *= c\n"
        f"    return F.l1_loss(est_audio, {target})\n"
    )
    assert ("C12" in places_in(tmp_path, code)) == found


def test_code_without_a_gain_has_none_to_leave_out(tmp_path):
    assert places_in(tmp_path, "def step(est, clean):\n    return torch.abs(est - clean).mean()\n") == {}


def test_labels_repeated_over_the_batch_are_noted(tmp_path):
    code = "def batch_pesq(scores):\n    return FloatTensor([np.mean(scores)] * len(scores))\n"
    assert set(places_in(tmp_path, code)) == {"C05"}


@pytest.mark.parametrize("epochs", ["sampler.set_epoch(epoch)", "pass"])
def test_a_sampler_is_noted_unless_it_hears_of_epochs_or_keeps_its_order_on_purpose(epochs, tmp_path):
    code = f"sampler = DistributedSampler(train)\nDistributedSampler(test, shuffle=False)\n{epochs}\n"
    assert set(places_in(tmp_path, code)) == ({"C13"} if epochs == "pass" else set())


def test_code_that_is_no_python_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"train\.py: not Python"):
        places_in(tmp_path, "def step(:\n")
