"""What a study used that was published: components by their own sources; searches and statistics by those below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vaestudy.analysis.protocol import Reference
from vaestudy.data import data_sets
from vaestudy.distributions import likelihoods
from vaestudy.metrics import BURDA
from vaestudy.models import models
from vaestudy.objectives import FREE_BITS, KINGMA_WELLING
from vaestudy.optimizers import optimizers
from vaestudy.registry import Registry, Source
from vaestudy.schedules import schedules
from vaestudy.spec import Study, canonical, space
from vaestudy.spec.models import INDEPENDENT

BERGSTRA = Source(
    "bergstra2012random",
    "Bergstra, James and Bengio, Yoshua",
    "Random Search for Hyper-Parameter Optimization",
    2012,
    "Journal of Machine Learning Research 13, 281-305",
)
SOBOL = Source(
    "sobol1967distribution",
    "Sobol', Ilya M.",
    "On the Distribution of Points in a Cube and the Approximate Evaluation of Integrals",
    1967,
    "10.1016/0041-5553(67)90144-9",
)
OWEN = Source(
    "owen1995randomly",
    "Owen, Art B.",
    "Randomly Permuted (t,m,s)-Nets and (t,s)-Sequences",
    1995,
    "10.1007/978-1-4612-2552-2_19",
)
TPE = Source(
    "bergstra2011algorithms",
    "Bergstra, James and Bardenet, R{\\'e}mi and Bengio, Yoshua and K{\\'e}gl, Bal{\\'a}zs",
    "Algorithms for Hyper-Parameter Optimization",
    2011,
    "Advances in Neural Information Processing Systems 24",
)
SNOEK = Source(
    "snoek2012practical",
    "Snoek, Jasper and Larochelle, Hugo and Adams, Ryan P.",
    "Practical {B}ayesian Optimization of Machine Learning Algorithms",
    2012,
    "arXiv:1206.2944",
)
ASHA = Source(
    "li2020system",
    "Li, Liam and Jamieson, Kevin and Rostamizadeh, Afshin and Gonina, Ekaterina and Ben-Tzur, Jonathan and "
    "Hardt, Moritz and Recht, Benjamin and Talwalkar, Ameet",
    "A System for Massively Parallel Hyperparameter Tuning",
    2020,
    "arXiv:1810.05934",
)
HYPERBAND = Source(
    "li2018hyperband",
    "Li, Lisha and Jamieson, Kevin and DeSalvo, Giulia and Rostamizadeh, Afshin and Talwalkar, Ameet",
    "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization",
    2018,
    "arXiv:1603.06560",
)
VIZIER = Source(
    "golovin2017vizier",
    "Golovin, Daniel and Solnik, Benjamin and Moitra, Subhodeep and Kochanski, Greg and Karro, John and Sculley, D.",
    "Google Vizier: A Service for Black-Box Optimization",
    2017,
    "10.1145/3097983.3098043",
)
STUDENT = Source("student1908probable", "Student", "The Probable Error of a Mean", 1908, "10.1093/biomet/6.1.1")
CLOPPER = Source(
    "clopper1934use",
    "Clopper, C. J. and Pearson, E. S.",
    "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
    1934,
    "10.1093/biomet/26.4.404",
)
TANG = Source(
    "tang2020showing",
    "Tang, Raphael and Lee, Jaejun and Xin, Ji and Liu, Xinyu and Yu, Yaoliang and Lin, Jimmy",
    "Showing Your Work Doesn't Always Work",
    2020,
    "arXiv:2004.13705",
)
SAMPLERS = {"random": (BERGSTRA,), "sobol": (SOBOL, OWEN), "tpe": (TPE,), "gp": (SNOEK,)}
PRUNERS = {"asha": ASHA, "hyperband": HYPERBAND, "median": VIZIER}
STATISTICS = {"Student's t interval": STUDENT, "Clopper-Pearson interval": CLOPPER}


def references(study: Study) -> tuple[Reference, ...]:
    """Everything with a source, in the order: components, training, search, statistics; each once."""
    return tuple(dict.fromkeys([*_components(study), *_training(study), *_search(study), *_statistics(study)]))


def _components(study: Study) -> Iterator[Reference]:
    for workload in study.workloads.values():
        yield from _published(data_sets, workload.data.name)
        yield from _published(models, workload.model.name)
        yield from _published(likelihoods, workload.likelihood.name)
    for method in study.methods.values():
        yield from _published(optimizers, method.optimizer)


def _training(study: Study) -> Iterator[Reference]:
    yield Reference("objective", "ELBO", KINGMA_WELLING)
    yield Reference("metric", "importance-weighted bound, active units", BURDA)
    for key, default in (("schedule", study.train.schedule), ("beta.schedule", study.train.beta.schedule)):
        for name in _values(study, key, default):
            yield from _published(schedules, str(name))
    if any(nats != 0 for nats in _values(study, "free_bits.nats", study.train.free_bits.nats)):
        yield Reference("objective", "free bits", FREE_BITS)


def _search(study: Study) -> Iterator[Reference]:
    sampler, pruner = study.search.sampler.name, study.search.pruner.name
    for source in SAMPLERS[sampler]:
        yield Reference("sampler", sampler, source)
    if pruner in PRUNERS:
        yield Reference("pruner", pruner, PRUNERS[pruner])


def _statistics(study: Study) -> Iterator[Reference]:
    for name, source in STATISTICS.items():
        yield Reference("statistic", name, source)
    if study.search.sampler.name in INDEPENDENT and study.search.pruner.name == "none":
        yield Reference("statistic", "expected best of n trials", TANG)


def _values(study: Study, key: str, default: object) -> list[object]:
    """Every value that a setting takes in some method: fixed, searched, or as the study's training has it."""
    found: list[object] = []
    for name, method in study.methods.items():
        fixed = {canonical(path): value for path, value in method.fixed.items()}
        searched = {canonical(path): entry for path, entry in space(study, name).items()}
        entry = searched.get(key)
        found += (entry.choice or entry.bounds or ()) if entry else [fixed.get(key, default)]
    return list(dict.fromkeys(found))


def _published(registry: Registry[Any], name: str) -> Iterator[Reference]:
    source = registry.find(name).source
    if source is not None:
        yield Reference(registry.kind, name, source)
