"""What was published: components by their own sources; training, searches and statistics by those below."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vaestudy.analysis.protocol import Reference
from vaestudy.analysis.statistics.ranks import MIN_WORKLOADS, seeds_needed
from vaestudy.data import data_sets
from vaestudy.distributions import likelihoods
from vaestudy.metrics import BURDA, HOFFMAN
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
WELCH = Source(
    "welch1947generalization",
    "Welch, B. L.",
    "The Generalization of {S}tudent's Problem when Several Different Population Variances are Involved",
    1947,
    "10.1093/biomet/34.1-2.28",
)
NEWCOMBE = Source(
    "newcombe1998interval",
    "Newcombe, Robert G.",
    "Interval Estimation for the Difference between Independent Proportions: Comparison of Eleven Methods",
    1998,
    "10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
)
DUNN = Source(
    "dunn1961multiple",
    "Dunn, Olive Jean",
    "Multiple Comparisons among Means",
    1961,
    "10.1080/01621459.1961.10482090",
)
KORN = Source(
    "korn1998confidence",
    "Korn, Edward L. and Graubard, Barry I.",
    "Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data",
    1998,
    "Survey Methodology 24, 193-201",
)
KAPLAN = Source(
    "kaplan1958nonparametric",
    "Kaplan, E. L. and Meier, Paul",
    "Nonparametric Estimation from Incomplete Observations",
    1958,
    "10.1080/01621459.1958.10501452",
)
AGARWAL = Source(
    "agarwal2021deep",
    "Agarwal, Rishabh and Schwarzer, Max and Castro, Pablo Samuel and Courville, Aaron and Bellemare, Marc G.",
    "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    2021,
    "arXiv:2108.13264",
)
DOLAN = Source(
    "dolan2002benchmarking",
    "Dolan, Elizabeth D. and Mor{\\'e}, Jorge J.",
    "Benchmarking Optimization Software with Performance Profiles",
    2002,
    "arXiv:cs/0102001",
)
DAHL = Source(
    "dahl2023benchmarking",
    "Dahl, George E. and Schneider, Frank and Nado, Zachary and Agarwal, Naman and Sastry, Chandramouli Shama and "
    "Hennig, Philipp and others",
    "Benchmarking Neural Network Training Algorithms",
    2023,
    "arXiv:2306.07179",
)
DEMSAR = Source(
    "demsar2006statistical",
    "Dem{\\v{s}}ar, Janez",
    "Statistical Comparisons of Classifiers over Multiple Data Sets",
    2006,
    "Journal of Machine Learning Research 7, 1-30",
)
WILCOXON = Source(
    "wilcoxon1945individual", "Wilcoxon, Frank", "Individual Comparisons by Ranking Methods", 1945, "10.2307/3001968"
)
HOLM = Source(
    "holm1979simple",
    "Holm, Sture",
    "A Simple Sequentially Rejective Multiple Test Procedure",
    1979,
    "Scandinavian Journal of Statistics 6, 65-70",
)
BOUTHILLIER = Source(
    "bouthillier2021accounting",
    "Bouthillier, Xavier and Delaunay, Pierre and Bronzi, Mirko and Trofimov, Assya and Nichyporuk, Brennan and others",
    "Accounting for Variance in Machine Learning Benchmarks",
    2021,
    "arXiv:2103.03098",
)
BONETT = Source(
    "bonett2006approximate",
    "Bonett, Douglas G.",
    "Approximate Confidence Interval for Standard Deviation of Nonnormal Distributions",
    2006,
    "10.1016/j.csda.2004.10.003",
)
CHOI = Source(
    "choi2019empirical",
    "Choi, Dami and Shallue, Christopher J. and Nado, Zachary and Lee, Jaehoon and Maddison, Chris J. and Dahl, "
    "George E.",
    "On Empirical Comparisons of Optimizers for Deep Learning",
    2019,
    "arXiv:1910.05446",
)
WATANABE = Source(
    "watanabe2023pedanova",
    "Watanabe, Shuhei and Bansal, Archit and Hutter, Frank",
    "{PED-ANOVA}: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
    2023,
    "arXiv:2304.10255",
)
HUTTER = Source(
    "hutter2014efficient",
    "Hutter, Frank and Hoos, Holger and Leyton-Brown, Kevin",
    "An Efficient Approach for Assessing Hyperparameter Importance",
    2014,
    "Proceedings of the 31st International Conference on Machine Learning, 754-762",
)
ALEMI = Source(
    "alemi2018fixing",
    "Alemi, Alexander A. and Poole, Ben and Fischer, Ian and Dillon, Joshua V. and Saurous, Rif A. and Murphy, Kevin",
    "Fixing a Broken {ELBO}",
    2018,
    "arXiv:1711.00464",
)
SAMPLERS = {"random": (BERGSTRA,), "sobol": (SOBOL, OWEN), "tpe": (TPE,), "gp": (SNOEK,)}
PRUNERS = {"asha": ASHA, "hyperband": HYPERBAND, "median": VIZIER}
METRICS = {"importance-weighted bound, active units": BURDA, "mutual information": HOFFMAN}


@dataclass(frozen=True)
class Statistic:
    """A statistic of reports, where it was published, and whether the report of a study has it."""

    name: str
    source: Source
    used: Callable[[Study], bool]


def _always(study: Study) -> bool:
    return True


def _pairs(study: Study) -> int:
    """How many pairs of methods there are to compare."""
    return math.comb(len(study.methods), 2)


def _compared(study: Study) -> bool:
    return _pairs(study) > 0


def _units(study: Study) -> int:
    """What a statement about methods counts: replicates of the search, or seeds where it is not repeated."""
    return study.search.replicates if study.search.replicates > 1 else study.confirm.seeds


def _decidable(study: Study) -> bool:
    """Whether the clearest of all pairs can differ at 5 % after Holm's correction."""
    return _compared(study) and _units(study) >= seeds_needed(_pairs(study))


def _targeted(study: Study) -> bool:
    return study.target is not None


def _ranked(study: Study) -> bool:
    return len(study.workloads) >= MIN_WORKLOADS and _compared(study)


def _independent(study: Study) -> bool:
    return study.search.sampler.name in INDEPENDENT and study.search.pruner.name == "none"


def _included(study: Study) -> bool:
    """Whether some method's optimizer contains another's."""
    used = {method.optimizer for method in study.methods.values()}
    return any(used & set(optimizers.find(name).contains) for name in used)


STATISTICS = (
    Statistic("Student's t interval", STUDENT, lambda study: _units(study) > 1),
    Statistic("all pairs of methods at once", DUNN, lambda study: _pairs(study) > 1),
    Statistic("Clopper-Pearson interval", CLOPPER, _always),
    Statistic("rates over replicates", KORN, lambda study: study.search.replicates > 1),
    Statistic("difference of independent means", WELCH, _compared),
    Statistic("difference of rates", NEWCOMBE, _compared),
    Statistic("signed-rank test", WILCOXON, _decidable),
    Statistic("correction for several tests", HOLM, _decidable),
    Statistic("Kaplan-Meier curve", KAPLAN, _targeted),
    Statistic("interquartile mean, optimality gap, probability of improvement", AGARWAL, _targeted),
    Statistic("performance profile", DOLAN, _targeted),
    Statistic("score of a profile, time of the fastest trial", DAHL, _targeted),
    Statistic("ranks over workloads", DEMSAR, _ranked),
    Statistic("inclusion of optimizers", CHOI, _included),
    Statistic("variance by source", BOUTHILLIER, lambda study: study.confirm.sources > 1),
    Statistic("interval of a variance", BONETT, lambda study: study.confirm.sources > 1),
    Statistic("expected best of n trials", TANG, _independent),
    Statistic("importance by PED-ANOVA", WATANABE, _always),
    Statistic("importance by fANOVA", HUTTER, _always),
    Statistic("rate and distortion", ALEMI, _always),
)

REGISTRIES: tuple[Registry[Any], ...] = (optimizers, schedules, models, likelihoods, data_sets)


def references(study: Study) -> tuple[Reference, ...]:
    """Everything with a source, in the order: components, training, search, statistics; each once."""
    return tuple(dict.fromkeys([*_components(study), *_training(study), *_search(study), *_statistics(study)]))


def everything() -> tuple[Reference, ...]:
    """Every source there is, in the same order."""
    components = (found for registry in REGISTRIES for entry in registry for found in _published(registry, entry.name))
    training = [("objective", "ELBO", KINGMA_WELLING), ("objective", "free bits", FREE_BITS)]
    training += [("metric", name, source) for name, source in METRICS.items()]
    search = [("sampler", name, source) for name, sources in SAMPLERS.items() for source in sources]
    search += [("pruner", name, source) for name, source in PRUNERS.items()]
    statistics = [("statistic", statistic.name, statistic.source) for statistic in STATISTICS]
    return (*components, *(Reference(*found) for found in (*training, *search, *statistics)))


def called(name: str) -> tuple[Reference, ...]:
    """The sources of what is called ``name``, of whatever kind: a component, a sampler, a pruner."""
    return tuple(reference for reference in everything() if reference.name == name)


def _components(study: Study) -> Iterator[Reference]:
    for workload in study.workloads.values():
        yield from _published(data_sets, workload.data.name)
        yield from _published(models, workload.model.name)
        yield from _published(likelihoods, workload.likelihood.name)
    for method in study.methods.values():
        yield from _published(optimizers, method.optimizer)


def _training(study: Study) -> Iterator[Reference]:
    yield Reference("objective", "ELBO", KINGMA_WELLING)
    for name, source in METRICS.items():
        yield Reference("metric", name, source)
    for key, default in (("schedule", study.train.schedule), ("beta.schedule", study.train.beta.schedule)):
        for schedule in _values(study, key, default):
            yield from _published(schedules, str(schedule))
    if any(nats != 0 for nats in _values(study, "free_bits.nats", study.train.free_bits.nats)):
        yield Reference("objective", "free bits", FREE_BITS)


def _search(study: Study) -> Iterator[Reference]:
    sampler, pruner = study.search.sampler.name, study.search.pruner.name
    for source in SAMPLERS[sampler]:
        yield Reference("sampler", sampler, source)
    if pruner in PRUNERS:
        yield Reference("pruner", pruner, PRUNERS[pruner])


def _statistics(study: Study) -> Iterator[Reference]:
    for statistic in STATISTICS:
        if statistic.used(study):
            yield Reference("statistic", statistic.name, statistic.source)


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
