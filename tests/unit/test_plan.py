"""Jobs and their keys: what each artefact needs, and what changes its key."""

import copy

import pytest
import yaml

from headworks.config import load
from headworks.errors import HeadworksError
from headworks.job import Job
from headworks.plan import ROOMS, Plan


@pytest.fixture
def plan(toy_study, tmp_path):
    """A plan of the toy study, with changes: plan({"scale": "test"}, lambda study: ...)."""

    def make(settings: dict | None = None, change=lambda study: None) -> Plan:
        study = copy.deepcopy(toy_study)
        change(study)
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        return Plan(load(settings or {}, tmp_path))

    return make


def keys(plan: Plan) -> dict[str, str]:
    """Path to key, of everything."""
    jobs = {(room, name): plan.job("toy", room, name) for room in ROOMS for name in plan.names("toy", room)}
    return {plan.path("toy", *place): job.key for place, job in jobs.items()}


def test_every_room_has_its_artefacts(plan):
    assert set(keys(plan())) == {
        "results/toy/data/ring.h5",
        "results/toy/runs/learner.h5",
        "results/toy/runs/still.h5",
        "results/toy/activations/probes-learner.h5",
        "results/toy/tables/curve.csv",
        "results/toy/tables/probe.csv",
        "results/toy/figures/curve.svg",
        "results/claims/toy.learns.json",
        "results/claims/toy.generalises.json",
    }


def test_a_job_needs_what_the_config_declares_once_each(plan):
    def needs(room: str, name: str) -> list[str]:
        return [item.path.removeprefix("results/toy/") for item in plan().job("toy", room, name).inputs]

    assert needs("data", "ring") == []
    assert needs("runs", "still") == ["data/ring.h5"]
    assert needs("activations", "probes-learner") == ["data/ring.h5", "runs/learner.h5"]
    assert needs("tables", "curve") == ["data/ring.h5", "runs/learner.h5", "runs/still.h5"]
    assert needs("tables", "probe") == ["data/ring.h5", "runs/learner.h5", "activations/probes-learner.h5"]
    assert needs("figures", "curve") == ["tables/curve.csv"]
    assert needs("claims", "learns") == ["tables/curve.csv"]


def test_a_control_on_another_table_is_needed_too(plan):
    job = plan(None, lambda study: study["claims"]["learns"]["control"].update(table="probe")).job(
        "toy", "claims", "learns"
    )
    assert [item.name for item in job.inputs] == ["curve", "probe"]


@pytest.mark.parametrize(
    ("change", "times"),
    [
        ({"train": {"steps": 400}}, 10),
        ({"train": {"batch": 16}}, 2),
        ({"seeds": [4]}, 1 / 3),
        ({"model": {"n_layers": 3}}, 3),
        ({"model": {"d_model": 32}}, 2),
    ],
)
def test_effort_is_how_much_a_run_trains(plan, change, times):
    def lengthen(study):
        for key, value in change.items():
            own = study["runs"]["learner"].get(key)
            study["runs"]["learner"][key] = (own or {}) | value if isinstance(value, dict) else value

    before = plan().training_effort("toy", "learner")
    assert plan(change=lengthen).training_effort("toy", "learner") == pytest.approx(times * before)


def test_inputs_carry_the_keys_of_what_makes_them(plan):
    made = plan()
    run = made.job("toy", "runs", "learner")
    assert made.job("toy", "tables", "curve").inputs_of("runs")["learner"].key == run.key


def test_two_plans_of_one_config_agree(plan):
    assert keys(plan()) == keys(plan())


def test_the_order_of_keys_and_names_of_settings_do_not_matter(plan):
    def turn(study: dict) -> None:
        base = study["settings"].pop("base")
        study["settings"]["other"] = dict(reversed(base.items()))
        for run in study["runs"].values():
            run["like"] = "other"

    assert keys(plan(None, turn)) == keys(plan())


def test_the_order_of_runs_matters_to_a_table(plan):
    """Its rows come in that order."""

    def turn(study: dict) -> None:
        study["experiments"]["curve"]["runs"].reverse()

    before, after = keys(plan()), keys(plan(None, turn))
    changed = {path for path in before if before[path] != after[path]}
    assert changed == {
        "results/toy/tables/curve.csv",
        "results/toy/figures/curve.svg",
        "results/claims/toy.learns.json",
    }


def test_the_scale_is_told_to_claims_alone(plan):
    before, after = keys(plan()), keys(plan({"scale": "test"}))
    assert {path for path in before if before[path] != after[path]} == {
        "results/claims/toy.learns.json",
        "results/claims/toy.generalises.json",
    }


def test_runs_of_one_specification_have_two_keys(plan):
    """So that a file under another's name is noticed."""

    def twin(study: dict) -> None:
        study["runs"]["twin"] = {"like": "base"}

    made = plan(None, twin)
    assert made.job("toy", "runs", "twin").key != made.job("toy", "runs", "learner").key


def test_a_job_survives_the_command_line(plan):
    job = plan().job("toy", "tables", "probe")
    assert Job.load(job.dump()) == job


def test_only_selects_studies(plan):
    assert plan().selected == ["toy"]
    assert plan({"only": ["toy"]}).selected == ["toy"]


def test_unknown_names_say_what_there_is(plan):
    with pytest.raises(HeadworksError, match="there is no study 'toi'; allowed: toy"):
        plan().job("toi", "runs", "learner")
    with pytest.raises(HeadworksError, match=r"toy\.yaml has no runs 'lerner'; allowed: learner, still"):
        plan().job("toy", "runs", "lerner")


@pytest.mark.parametrize("tables", [{"curve": ["curve"]}, {"curve": ["probe"], "probe": ["curve"]}])
def test_tables_that_need_each_other_are_refused(plan, tables):
    def tie(study: dict) -> None:
        for name, needed in tables.items():
            study["experiments"][name]["tables"] = needed

    with pytest.raises(HeadworksError, match=r"experiments\.(curve|probe)\.tables: .*needs itself"):
        keys(plan(None, tie))


def test_activations_that_would_share_a_file_are_refused(plan):
    """Entry `probes` of run `a-learner` and entry `probes-a` of run `learner` are both probes-a-learner.h5."""

    def clash(study: dict) -> None:
        study["runs"]["a-learner"] = {"like": "base"}
        study["activations"]["probes"]["runs"].append("a-learner")
        study["activations"]["probes-a"] = study["activations"]["probes"] | {"runs": ["learner"]}

    with pytest.raises(HeadworksError, match=r"activations\.probes-a.*probes-a-learner"):
        keys(plan(None, clash))


def test_figures_and_claims_of_no_entry_are_named(plan, tmp_path):
    made = plan()
    strays = ["results/claims/toy.renamed.json", "results/toy/figures/old.png", "results/toy/figures/old.svg"]
    for path in [
        *strays,
        "results/toy/figures/curve.svg",
        "results/toy/figures/curve.png",
        "results/claims/toy.csv",
    ]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert made.strays(tmp_path) == strays
