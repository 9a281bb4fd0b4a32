"""The study file as frozen models: every key, its type and its default. Laws across keys are in ``laws.py``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

NAME = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
PHASE_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # no dot: it is one part of train.stages.NAME.share
MOST_SEEDS = 999
"""Of a stage; each stage has a block of a thousand seeds."""
MOST_REPLICATES = 1000
INDEPENDENT = ("random", "sobol")
"""Samplers whose trials do not depend on each other's results: stage T of the protocol."""
DURATION = r"^(\d*[1-9]\d*(\.\d+)?|\d+\.\d*[1-9]\d*)(s|m|h|d)$"  # above 0
RANGE_FORM = "one of {log: [lo, hi]}, {uniform: [lo, hi]}, {int: [lo, hi]}, {choice: [...]}"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Scalar = bool | int | float | str


class Frozen(BaseModel):
    """Unknown keys are errors, nothing is coerced from words, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Component(Frozen):
    """A registered component by name, with its hyperparameters as further keys."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def arguments(self) -> dict[str, Any]:
        """The hyperparameters given in the file."""
        extra = self.model_extra or {}
        return {key: tuple(v) if isinstance(v, list) else v for key, v in extra.items()}


class Data(Frozen):
    """A data set, how it is split and how it is made binary."""

    name: str = Field(description="a registered data set")
    binarize: Literal["none", "static", "dynamic"] = "none"
    seed: Seed = Field(default=0, description="of the split and of every fixed binarisation")
    validation: int = Field(ge=1, description="examples set aside from the training part for validation")
    limit: int | None = Field(default=None, ge=2, description="use only this many training examples")


class Workload(Frozen):
    """Data, model, likelihood and batch size: the task that methods are compared on."""

    data: Data
    model: Component = Field(description="a registered model, with its hyperparameters")
    likelihood: Component = Field(description="a registered likelihood, with its hyperparameters")
    batch_size: int = Field(ge=1, description="examples per update")


class Beta(Frozen):
    """KL annealing: beta(t) from ``start`` to ``end`` over a share of training."""

    schedule: str = Field(default="constant", description="from ``start`` to ``end``; constant is ``end`` throughout")
    start: float = Field(default=0.0, ge=0.0, description="beta at the first update")
    end: float = Field(default=1.0, ge=0.0, description="beta when the ramp has ended")
    over: Share = Field(
        default=0.25,
        description="share of training that the ramp takes (cyclical: of a cycle), counted from the end of the last "
        "stage before the final one that sets its own beta",
    )
    cycles: int = Field(default=4, ge=1, description="how many cycles, where the schedule is cyclical")


class FreeBits(Frozen):
    """Free bits: the rate below which a unit's KL costs nothing."""

    nats: float = Field(default=0.0, ge=0.0, description="lambda, per unit; 0 turns free bits off")
    per: Literal["dimension", "group", "total"] = Field(default="dimension", description="what a unit is")
    groups: int = Field(default=4, ge=1, description="how many groups, where a unit is a group")
    average: Literal["batch", "example"] = Field(default="batch", description="whose KL is held against ``nats``")


class Phase(Frozen):
    """One stage of training: its share of the updates, its beta (else the schedule's), what is frozen in it."""

    name: Annotated[str, StringConstraints(pattern=PHASE_NAME)]
    share: Share | None = Field(default=None, description="the last stage may leave it out: it takes the rest")
    beta: float | None = Field(
        default=None, ge=0.0, description="in this stage, in the place of the schedule's, which starts after it"
    )
    freeze: Literal["none", "encoder", "decoder"] = Field(default="none", description="what does not train in it")


class Train(Frozen):
    """How a run trains; the same for every method unless a method's ``train`` says otherwise."""

    epochs: int = Field(ge=1, description="passes over the training examples; the cap of every trial")
    evaluate_every: int = Field(default=1, ge=1, description="epochs between evaluations")
    beta: Beta = Beta()
    free_bits: FreeBits = FreeBits()
    stages: tuple[Phase, ...] = ()
    schedule: str = Field(
        default="constant", description="of the learning rate, from its value to ``final_lr_ratio`` of it"
    )
    final_lr_ratio: Share = Field(default=0.0, description="the last learning rate over the first, unless constant")
    warmup: Share = Field(default=0.0, description="share of training in which the learning rate rises from 0")
    clip_norm: float | None = Field(default=None, gt=0.0, description="per-run bound on the gradient's Euclidean norm")
    ema: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="decay of the average of weights that is judged; 0 judges the weights"
    )
    decoder_lr_ratio: float = Field(default=1.0, gt=0.0, description="the decoder's learning rate over the encoder's")
    precision: Literal["fp32"] = "fp32"


def _first_repeated(values: tuple[Scalar, ...]) -> str | None:
    seen: list[tuple[bool, Scalar]] = []
    for value in values:
        known = (isinstance(value, bool), value)  # True == 1, yet they are two choices
        if known in seen:
            return str(value)
        seen.append(known)
    return None


class Range(Frozen):
    """A searched range: exactly one of ``log``, ``uniform``, ``int``, ``choice``; ``when`` makes it conditional."""

    log: tuple[float, float] | None = Field(default=None, description="[low, high], log-uniform")
    uniform: tuple[float, float] | None = Field(default=None, description="[low, high], uniform")
    int_: tuple[int, int] | None = Field(default=None, alias="int", description="[low, high], whole numbers, both ends")
    choice: tuple[Scalar, ...] | None = Field(default=None, min_length=1, description="one of these")
    when: dict[str, Scalar | tuple[Scalar, ...]] | None = Field(
        default=None, description="search this only where other searched keys have these values"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Range:
        kinds = [self.log, self.uniform, self.int_, self.choice]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(f"expected {RANGE_FORM}")
        for bounds in (self.log, self.uniform, self.int_):
            if bounds is not None and bounds[0] >= bounds[1]:
                raise ValueError(f"the low end {bounds[0]} is not below the high end {bounds[1]}")
        if self.log is not None and self.log[0] <= 0:
            raise ValueError(f"a log range starts above 0, got {self.log[0]}; nearest valid: a small positive number")
        if repeated := _first_repeated(self.choice or ()):
            raise ValueError(f"choice names {repeated!r} twice")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Low and high end, or None for a choice."""
        return self.log or self.uniform or self.int_


class Method(Frozen):
    """One arm: an optimizer with fixed and searched hyperparameters.

    ``fixed`` and ``search`` take the optimizer's own hyperparameters (``one_minus_x`` for a decay ``x``) and any
    ``train.`` path; ``schedule``, ``warmup``, ``clip_norm``, ``decoder.lr_ratio`` are short for theirs.
    """

    optimizer: str = Field(description="a registered optimizer")
    fixed: dict[str, Scalar] = Field(default={}, description="values in the place of the published defaults")
    search: dict[str, Range] = Field(default={}, description="what is searched for this method alone")


class Sampler(Frozen):
    """Who proposes settings."""

    name: Literal["random", "sobol", "tpe", "gp"] = Field(
        default="random", description="random and sobol are stage T of the protocol, tpe and gp stage P"
    )


class Pruner(Frozen):
    """Who stops trials early, judged by the validation ELBO at beta = 1 only."""

    name: Literal["none", "asha", "hyperband", "median"] = "none"
    grace: int = Field(
        default=1, ge=1, description="epochs that every trial may train; never less than the annealing ramp"
    )
    factor: int = Field(default=3, ge=2, description="at each rung one in this many goes on (asha, hyperband)")


class Search(Frozen):
    """How settings are sought."""

    allocation: Literal["per_method", "joint"] = Field(
        default="per_method", description="equal trials for every method, or one search over all methods"
    )
    trials: int = Field(ge=1, description="per cell; joint: per workload")
    replicates: int = Field(
        default=1,
        ge=1,
        le=MOST_REPLICATES,
        description="times that each search and its confirmation are made, under seeds of their own; statements about "
        "methods need several",
    )
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()


class Target(Frozen):
    """Which score counts as reached (protocol, rule 8): that of the best reference method, or a declared one."""

    methods: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="reference methods; the best trial of them all is rerun; default: all"
    )
    trials: int | None = Field(default=None, ge=1, description="of each reference method; default: all trials")
    seeds: int = Field(default=20, ge=1, le=MOST_SEEDS, description="reruns; the target is the median of their best")
    nats: dict[Name, float] = Field(default={}, description="declared targets by workload, in the place of reruns")


class Confirm(Frozen):
    """How winners are confirmed: fresh seeds, test split."""

    budgets: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        default=None, min_length=1, description="confirm the best of the first n trials for each n; default: all trials"
    )
    defaults: bool = Field(default=False, description="confirm the published defaults too: a budget without a trial")
    seeds: int = Field(default=10, ge=0, le=MOST_SEEDS, description="fresh seeds per winner")
    sources: int = Field(
        default=0,
        ge=0,
        le=MOST_SEEDS,
        description="runs of each winner for each of initialisation, data order and noise varied alone",
    )
    elbo_samples: int = Field(default=50, ge=1, description="draws of z for the test ELBO")
    iwae_samples: int = Field(default=500, ge=1, description="K of the importance-weighted bound on the test NLL")
    weight_draws: int = Field(
        default=400,
        ge=1,
        description="draws of the decoder's weights, of 5 importance samples each, for the test NLL averaged over a "
        "weight posterior",
    )


class Resources(Frozen):
    """What each worker gets, and how many trials it trains together."""

    cpus: float = Field(default=1.0, gt=0.0, description="per worker")
    gpus: float = Field(default=0.0, ge=0.0, le=1.0, description="per worker; a fraction shares a device")
    workers: int | None = Field(default=None, ge=1, description="at most this many at once; default: as fit")
    population: int = Field(default=1, ge=1, description="trials trained together in one worker (K)")
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Budget(Frozen):
    """What the study may use."""

    wall_clock: str | None = Field(default=None, pattern=DURATION)
    retries: int = Field(default=2, ge=0, description="times that a run may lose its worker without getting further")
    silence: str = Field(
        default="1h", pattern=DURATION, description="a worker that says nothing for so long is taken for hung"
    )
    checkpoint_seconds: float = Field(default=15.0, ge=0.0, description="least time between a run's checkpoints")
    max_failed_share: Share = Field(default=0.5, description="exit 6 where more of the runs fail (infrastructure)")


class Storage(Frozen):
    """Where results and trials are kept."""

    results: str = Field(
        default="./results", min_length=1, description="the folder that holds the study's folder, or s3://BUCKET/FOLDER"
    )
    optuna: str = Field(
        default="sqlite", description="sqlite, or the NAME of a credential that holds a PostgreSQL address"
    )


class Tracking(Frozen):
    """Where MLflow shows the study."""

    mlflow: str = Field(default="sqlite", description="sqlite, none, an http(s) address, or the NAME of a credential")
    tags: dict[str, str] = {}
    figures: bool = True


class ReportOptions(Frozen):
    """What reports say and how."""

    primary: Literal["elbo", "nll"] = Field(
        default="elbo", description="the one score that ranking, claims and tests are about: test -ELBO or test NLL"
    )
    baseline: str | None = Field(default=None, description="the method that others are compared with")
    formats: tuple[Literal["csv", "parquet", "md", "tex", "html"], ...] = ("csv", "parquet", "md", "tex", "html")
    figures: bool = Field(default=True, description="false: a study ends with its tables alone; no figures, no page")


class Study(Frozen):
    """A whole experiment."""

    version: Literal[1] = Field(description="of the study file's form")
    name: Name = Field(description="of the study: its folder, its MLflow experiment")
    description: str = ""
    seed: Seed = Field(default=0, description="every random number of the study is a function of it")
    workloads: dict[Name, Workload] = Field(min_length=1, description="the tasks, by name")
    train: Train
    methods: dict[Name, Method] = Field(min_length=1, description="what is compared, by name; one arm each")
    shared_search: dict[str, Range] = Field(default={}, description="searched for every method alike")
    search: Search
    target: Target | None = None
    confirm: Confirm = Confirm()
    resources: Resources = Resources()
    budget: Budget = Budget()
    storage: Storage = Storage()
    tracking: Tracking = Tracking()
    report: ReportOptions = ReportOptions()
    plugins: tuple[str, ...] = Field(default=(), description="modules to import first; they register components")
