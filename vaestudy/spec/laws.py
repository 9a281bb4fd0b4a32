"""The laws across keys: what types alone cannot say. Each law is a small function that yields its violations.

The laws of methods are in ``arms.py``. A law names the sections it reads and is asked only where these are sound, so
that one mistake is reported once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

from vaestudy.data import DataSet, data_sets
from vaestudy.distributions import likelihoods
from vaestudy.errors import UsageError, nearest
from vaestudy.models import models
from vaestudy.optimizers import optimizers
from vaestudy.records import PRIMARY
from vaestudy.registry import Entry, Registry
from vaestudy.schedules import schedules
from vaestudy.spec import arms
from vaestudy.spec.identity import leaves
from vaestudy.spec.legal import name_problem
from vaestudy.spec.messages import Keys, Violation
from vaestudy.spec.models import INDEPENDENT, Component, Study, Workload
from vaestudy.spec.settings import canonical
from vaestudy.store import checked

Law = Callable[[Study], Iterator[Violation]]

CREDENTIAL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
ADDRESSES = (("storage", "optuna"), ("tracking", "mlflow"))
SCHEMES = ("http", "https", "postgresql", "sqlite")
MAX_CHARACTERS = 6000
"""MLflow cuts longer parameters."""


def broken_laws(study: Study, unsound: frozenset[str]) -> Iterator[Violation]:
    """Every violation of the laws that read none of the ``unsound`` sections (``search``, ``train.stages``).

    A law reports a place once, even where it is wrong for several methods.
    """
    for law, sections in LAWS:
        if not any(_within(a, b) or _within(b, a) for a in sections for b in unsound):
            first: dict[Keys, Violation] = {}
            for violation in law(study):
                first.setdefault(violation.path, violation)
            yield from first.values()


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def known_components(study: Study) -> Iterator[Violation]:
    """Data set, model and likelihood exist, and what they are given is legal."""
    for name, workload in study.workloads.items():
        path = ("workloads", name)
        if problem := name_problem(data_sets, workload.data.name):
            yield Violation((*path, "data", "name"), problem)
        yield from _component((*path, "model"), models, workload.model)
        yield from _component((*path, "likelihood"), likelihoods, workload.likelihood)


def _component(path: Keys, registry: Registry[Any], component: Component) -> Iterator[Violation]:
    if problem := name_problem(registry, component.name):
        yield Violation(path, problem)
        return
    schema = registry.find(component.name).hyperparameters
    for key, value in component.arguments.items():
        if key not in schema:
            yield Violation((*path, key), f"unknown key - {nearest(key, ['name', *schema])}")
        elif problem := schema[key].problem(value):
            yield Violation((*path, key), problem)
    for key, entry in schema.items():
        if entry.required and key not in component.arguments:
            yield Violation((*path, key), f"missing; expected {entry.domain.says}")


def enough_examples(study: Study) -> Iterator[Violation]:
    """There are examples to validate on, and at least one batch to train on."""
    for name, workload in study.workloads.items():
        if workload.data.name in data_sets:
            yield from _enough(("workloads", name), workload, data_sets.find(workload.data.name))


def _enough(path: Keys, workload: Workload, entry: Entry[DataSet]) -> Iterator[Violation]:
    data, rows = workload.data, entry.component.train_size
    if data.validation >= rows:
        message = f"{entry.name} has {rows} training examples; expected fewer than that, got {data.validation}"
        yield Violation((*path, "data", "validation"), message)
        return
    left = rows - data.validation
    if data.limit is not None and data.limit > left:
        yield Violation((*path, "data", "limit"), f"only {left} examples are left for training, got {data.limit}")
    left = min(left, data.limit or left)
    if workload.batch_size > left:
        message = f"expected at most the {left} training examples, got {workload.batch_size}"
        yield Violation((*path, "batch_size"), message)


def binary_data(study: Study) -> Iterator[Violation]:
    """A likelihood of binary data sees binary data."""
    for name, workload in study.workloads.items():
        broken = any(_component((), likelihoods, workload.likelihood))
        if broken or workload.data.binarize != "none":
            continue
        if likelihoods.find(workload.likelihood.name).component(**workload.likelihood.arguments).binary:
            message = f"{workload.likelihood.name} is a likelihood of binary data: set data.binarize"
            yield Violation(("workloads", name, "likelihood"), f"{message} to static or dynamic")


def known_schedules(study: Study) -> Iterator[Violation]:
    """The schedules of the rate and of beta exist."""
    if problem := name_problem(schedules, study.train.schedule):
        yield Violation(("train", "schedule"), problem)
    if problem := name_problem(schedules, study.train.beta.schedule):
        yield Violation(("train", "beta", "schedule"), problem)


def stages_told_apart(study: Study) -> Iterator[Violation]:
    """Stages have names of their own, and only the last may leave out its share."""
    stages = study.train.stages
    names = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        if stage.name in names[:index]:
            yield Violation(("train", "stages", index, "name"), f"two stages are called {stage.name!r}")
        if stage.share is None and index < len(stages) - 1:
            yield Violation(("train", "stages", index, "share"), "missing; only the last stage may leave it out")


def evaluated(study: Study) -> Iterator[Violation]:
    """At least one evaluation falls into training."""
    every, epochs = study.train.evaluate_every, study.train.epochs
    if every > epochs:
        yield Violation(("train", "evaluate_every"), f"expected at most train.epochs ({epochs}), got {every}")


def grace_within_training(study: Study) -> Iterator[Violation]:
    """The pruner's grace ends within training."""
    grace, epochs = study.search.pruner.grace, study.train.epochs
    if grace > epochs:
        yield Violation(("search", "pruner", "grace"), f"expected at most train.epochs ({epochs}), got {grace}")


def budgets_within_trials(study: Study) -> Iterator[Violation]:
    """Confirmed budgets rise and do not exceed the trials."""
    budgets, trials = study.confirm.budgets or (), study.search.trials
    if list(budgets) != sorted(set(budgets)):
        yield Violation(("confirm", "budgets"), f"expected rising numbers, each once, got {list(budgets)}")
    for index, budget in enumerate(budgets):
        if budget > trials:
            yield Violation(("confirm", "budgets", index), f"expected at most search.trials ({trials}), got {budget}")


def defaults_exist(study: Study) -> Iterator[Violation]:
    """Whoever asks for the published defaults has them: every searched hyperparameter has one."""
    if not study.confirm.defaults:
        return
    for name, method in study.methods.items():
        if method.optimizer not in optimizers:
            continue
        schema = optimizers.find(method.optimizer).hyperparameters
        searched = {canonical(key) for key in (*method.search, *study.shared_search)}
        if lacking := [key for key, entry in schema.items() if entry.required and key in searched]:
            message = f"{method.optimizer} has no published default of {' and '.join(lacking)}, which {name} searches"
            yield Violation(("confirm", "defaults"), f"{message}: fix it, or leave the defaults out")


def target_can_be_found(study: Study) -> Iterator[Violation]:
    """The target's reference methods, trials and workloads are the study's, and its trials are independent."""
    target, trials = study.target, study.search.trials
    if target is None:
        return
    for index, method in enumerate(target.methods or ()):
        if method not in study.methods:
            message = f"unknown method {method!r} - {nearest(method, study.methods)}"
            yield Violation(("target", "methods", index), message)
    for workload in target.nats:
        if workload not in study.workloads:
            message = f"unknown workload {workload!r} - {nearest(workload, study.workloads)}"
            yield Violation(("target", "nats", workload), message)
    if target.trials is not None and target.trials > trials:
        yield Violation(("target", "trials"), f"expected at most search.trials ({trials}), got {target.trials}")
    sampler = study.search.sampler.name
    if sampler not in INDEPENDENT and set(study.workloads) - set(target.nats):
        message = f"reruns follow independent random trials, and {sampler} learns from its trials"
        yield Violation(("target",), f"{message}: declare target.nats, or search with {' or '.join(INDEPENDENT)}")


def joint_alone(study: Study) -> Iterator[Violation]:
    """A joint search trains trials one by one: its trials differ in their optimizer."""
    if study.search.allocation == "joint" and study.resources.population > 1:
        found = f"expected 1, got {study.resources.population}"
        yield Violation(("resources", "population"), f"{found}: a joint search mixes methods in one worker")


def baseline_is_a_method(study: Study) -> Iterator[Violation]:
    """The baseline of reports is one of the methods."""
    if study.report.baseline is not None and study.report.baseline not in study.methods:
        message = f"unknown method {study.report.baseline!r} - {nearest(study.report.baseline, study.methods)}"
        yield Violation(("report", "baseline"), message)


def question_is_answered(study: Study) -> Iterator[Violation]:
    """Where the description names a score, it is the primary one."""
    named = [name for name in PRIMARY if re.search(rf"\b{name}\b", study.description, re.IGNORECASE)]
    if named and study.report.primary not in named:
        message = f"the description asks for the {named[0].upper()}: expected {named[0]}, got {study.report.primary}"
        yield Violation(("report", "primary"), message)


def tracking_address(study: Study) -> Iterator[Violation]:
    """MLflow is a word, an http(s) address or the name of a credential."""
    path, value = ("tracking", "mlflow"), study.tracking.mlflow
    scheme, address, _ = value.partition("://")
    if not address:
        yield from _credential(path, value, "sqlite, none, an http(s) address or the name of a credential")
    elif scheme.lower() not in ("http", "https"):
        found = f"expected an http(s) address, got one of {scheme}://{_meant(scheme)}"
        yield Violation(path, f"{found}; put a database's address in a credential and its name here")


def optuna_address(study: Study) -> Iterator[Violation]:
    """Optuna's storage is SQLite or the name of a credential, never an address."""
    path, value = ("storage", "optuna"), study.storage.optuna
    scheme, address, _ = value.partition("://")
    if address:
        found = f"expected sqlite or the name of a credential, got an address of {scheme}://{_meant(scheme)}"
        yield Violation(path, f"{found}; put the address in a credential and its name here")
    else:
        yield from _credential(path, value, "sqlite or the name of a credential")


def _meant(scheme: str) -> str:
    close = difflib.get_close_matches(scheme.lower(), SCHEMES, n=1)
    return f" (did you mean {close[0]!r}?)" if close and close[0] != scheme else ""


def _credential(path: Keys, value: str, expected: str) -> Iterator[Violation]:
    if not CREDENTIAL.fullmatch(value):
        yield Violation(path, f"expected {expected} (a letter first, then letters, digits, '_' and '-')")


def results_folder(study: Study) -> Iterator[Violation]:
    """Results lie in a folder of a file system or of an object store."""
    if "://" in study.storage.results:
        try:
            checked(study.storage.results)
        except UsageError as error:
            yield Violation(("storage", "results"), str(error))


def no_secrets_nor_novels(study: Study) -> Iterator[Violation]:
    """No value holds a password, and none is too long to be shown."""
    for path, value in leaves(study.model_dump(by_alias=True)):
        refused = path in ADDRESSES and not str(value).startswith("http")  # an address there is refused as such
        if isinstance(value, str) and PASSWORD.search(value) and not refused:
            yield Violation(path, "holds an address with a password: put it in a credential and write its name")
        elif len(str(value)) > MAX_CHARACTERS:
            length = len(str(value))
            yield Violation(path, f"expected at most {MAX_CHARACTERS} characters, got {length}: MLflow would cut it")


LAWS: tuple[tuple[Law, tuple[str, ...]], ...] = (
    (known_components, ()),
    (enough_examples, ()),
    (binary_data, ()),
    (known_schedules, ("train.schedule", "train.beta")),
    (stages_told_apart, ("train.stages",)),
    (evaluated, ("train.evaluate_every", "train.epochs")),
    (arms.known_optimizers, ()),
    (arms.given_once, ()),
    (arms.legal_values, ("train.stages",)),
    (arms.required_given, ("shared_search",)),
    (arms.conditions_hold, ("shared_search",)),
    (arms.no_circles, ("shared_search",)),
    (arms.stages_fit, ("train.stages", "shared_search")),
    (arms.parts_train, ("train.stages", "shared_search")),
    (grace_within_training, ("train.epochs", "search.pruner")),
    (budgets_within_trials, ("search.trials", "confirm")),
    (defaults_exist, ("methods", "shared_search", "confirm")),
    (target_can_be_found, ("methods", "target", "search.trials", "search.sampler")),
    (joint_alone, ("search.allocation", "resources")),
    (baseline_is_a_method, ("methods", "report")),
    (question_is_answered, ("report", "description")),
    (tracking_address, ("tracking",)),
    (optuna_address, ("storage",)),
    (results_folder, ("storage",)),
    (no_secrets_nor_novels, ()),
)
"""Every law with the sections that must be sound for it; workloads and methods are judged one by one."""
