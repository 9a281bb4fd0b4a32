"""K members trained together on one device; K = 1 is the ordinary case, not a special one.

Parameters are one matrix ``[K, P]``; the model runs batched layers over the member axis; rows never meet, so a member
at NaN leaves the others bitwise unchanged, and a member alone equals the same member among K.

Letters: K members, P parameters, B batch, D pixels, Z latent dimensions, S updates of a stretch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vaestudy.data import Examples
from vaestudy.distributions import Likelihood
from vaestudy.errors import CheckpointError
from vaestudy.hyperparameters import number
from vaestudy.models import Model
from vaestudy.objectives import FreeBits, FreeBitsTable, gaussian_rate, reparameterise
from vaestudy.optimizers import Optimizer
from vaestudy.optimizers.base import Frozen, Row, WeightPosterior
from vaestudy.params import PARTS
from vaestudy.seeding import Noise, Seeds, Stream, mix, permutation
from vaestudy.spec import Settings
from vaestudy.timeline import Timeline

MOST_STEPS = 2**40
"""More updates than any run makes: what keeps the noise of a step's several draws apart from that of other steps."""


@dataclass(frozen=True)
class Task:
    """What every member of a population shares: data on the device, model, likelihood, batch size."""

    examples: Examples
    model: Model
    likelihood: Likelihood
    batch_size: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch; the examples left over after the last whole batch wait for the next shuffle."""
        return len(self.examples.train) // self.batch_size


@dataclass
class Member:
    """One row of a population: who it is and how far it has come.

    Attributes:
        steps: updates done. grad_evals: backward passes paid. diverged_at: the first update (1-based) whose loss was
            not finite, or None.
    """

    seeds: Seeds
    settings: Settings
    timeline: Timeline
    steps: int = 0
    grad_evals: int = 0
    diverged_at: int | None = None


class Population:
    """The members, their parameters and their optimizer's state."""

    def __init__(self, task: Task, optimizer: Optimizer, dtype: torch.dtype = torch.float32):
        self.task = task
        self.members: list[Member] = []
        self._optimizer = optimizer
        self._dtype = dtype
        self._params = torch.empty(0, task.model.layout.width, device=task.device, dtype=dtype)
        self._state: Any = None
        self._ema: Tensor | None = None

    def add(self, member: Member, saved: Row | None = None) -> None:
        """Appends a member: at its initialisation, or as ``save`` left it.

        Raises:
            CheckpointError: ``saved`` is of another model or optimizer; names the first key that differs.
        """
        generator = torch.Generator().manual_seed(mix(member.seeds.init, Stream.INIT.name, 0))
        params = self.task.model.layout.initial(generator, self._dtype)[None].to(self.task.device)
        hparams = _columns([member], self._dtype, self.task.device)
        row = self._optimizer.get_row(self._optimizer.init(params, hparams), 0)
        if saved is not None:
            counts = {"ema": None, "steps": 0, "grad_evals": 0, "diverged_at": None}
            if found := misfit(saved, {"params": params[0], "optimizer": row, **counts}):
                raise CheckpointError(f"of another model or optimizer: {found}")
            params, row = saved["params"][None].to(self.task.device), _moved(saved["optimizer"], self.task.device)
            member.steps, member.grad_evals = saved["steps"], saved["grad_evals"]
            member.diverged_at = saved["diverged_at"]
        if self._ema is not None or member.settings.train.ema > 0:
            kept = saved["ema"][None].to(self.task.device) if saved and saved["ema"] is not None else params
            self._ema = torch.cat([self._params if self._ema is None else self._ema, kept])
        rows = [self._optimizer.get_row(self._state, k) for k in range(len(self.members))]
        self._params = torch.cat([self._params, params])
        self._state = self._optimizer.put_rows([*rows, row])
        self.members.append(member)

    def remove(self, k: int) -> None:
        """Drops member k; the others' rows move up unchanged."""
        keep = [i for i in range(len(self.members)) if i != k]
        rows = [self._optimizer.get_row(self._state, i) for i in keep]
        self._params = self._params[keep]
        self._ema = None if self._ema is None else self._ema[keep]
        self._state = self._optimizer.put_rows(rows) if rows else None
        del self.members[k]

    def save(self, k: int) -> Row:
        """Member k as tensors and numbers, on the CPU; ``add`` takes it back bit for bit."""
        member = self.members[k]
        return {
            "params": self._params[k].cpu().clone(),
            "optimizer": self._optimizer.get_row(self._state, k),
            "ema": None if self._ema is None else self._ema[k].cpu().clone(),
            "steps": member.steps,
            "grad_evals": member.grad_evals,
            "diverged_at": member.diverged_at,
        }

    def eval_params(self) -> dict[str, Tensor]:
        """Named parameters to evaluate at, each ``[K, *shape]``: the optimizer's, or their kept average."""
        params = self._optimizer.eval_params(self._params, self._state)
        if self._ema is not None:
            averaged = torch.tensor([[m.settings.train.ema > 0] for m in self.members], device=self.task.device)
            params = torch.where(averaged, self._ema, params)
        return self.task.model.layout.views(params)

    def sampled_params(self, k: int, seed: int, count: int) -> list[dict[str, Tensor]]:
        """Named parameters of ``count`` draws from member k's weight posterior, each ``[1, *shape]``; none where its
        optimizer learns a point."""
        if not isinstance(self._optimizer, WeightPosterior):
            return []
        hparams = _columns([self.members[k]], self._dtype, self.task.device)
        state = self._optimizer.put_rows([self._optimizer.get_row(self._state, k)])
        noise = Noise([seed], self.task.device)
        draws = []
        for draw in range(count):
            eps = noise.normal(Stream.WEIGHTS, [draw], self._params.shape[1], dtype=self._dtype)
            draws.append(self._optimizer.sample(self._params[k : k + 1], state, hparams, eps))
        return [self.task.model.layout.views(drawn) for drawn in draws]

    def train(self, steps: int, until: float = math.inf) -> Tensor:
        """Every member makes ``steps`` updates, or fewer where the monotonic clock passes ``until``; the training
        losses ``[K, S]`` of the updates made, nats per example.

        A member whose loss is not finite is marked ``diverged_at``; the others go on undisturbed. Where a call ends
        changes no number.
        """
        losses = [torch.empty(len(self.members), 0, dtype=self._dtype)]
        left = steps
        while left > 0 and (left == steps or time.monotonic() < until):
            count = min(left, *(self._to_epoch_end(member) for member in self.members))
            losses.append(self._stretch(count, until))
            left -= losses[-1].shape[1]
        return torch.cat(losses, dim=1)

    def _to_epoch_end(self, member: Member) -> int:
        return self.task.steps_per_epoch - member.steps % self.task.steps_per_epoch

    def _stretch(self, count: int, until: float) -> Tensor:
        """At least one update and at most ``count``, within one epoch of every member."""
        stretch = _Stretch(self.task, self.members, count, self._dtype)
        losses = torch.empty(count, len(self.members), device=self.task.device, dtype=self._dtype)
        made = 0
        while made < count and (made == 0 or time.monotonic() < until):
            self._params, self._state, losses[made] = stretch.update(made, self._optimizer, self._params, self._state)
            if self._ema is not None:
                now = self._optimizer.eval_params(self._params, self._state)
                self._ema = torch.lerp(now, self._ema, stretch.ema_decay(made))
            made += 1
        losses = losses[:made]
        finite = torch.isfinite(losses).cpu()
        for k, member in enumerate(self.members):
            if member.diverged_at is None and not finite[:, k].all():
                member.diverged_at = member.steps + 1 + int(finite[:, k].logical_not().nonzero()[0])
            member.steps += made
            member.grad_evals += stretch.grad_evals[k]
        return losses.T.cpu()


def misfit(found: Any, expected: Any, key: str = "") -> str:
    """The first key at which ``found`` lacks a part of ``expected`` or has a tensor of another shape or type; empty
    where it fits. An optimizer's state may have more keys than one that has not begun."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return f"{key}: a mapping was expected"
        inner = (
            misfit(found[name], part, f"{key}.{name}".strip("."))
            if name in found
            else f"{key}.{name}".strip(".") + " is missing"
            for name, part in expected.items()
        )
        return next(filter(None, inner), "")
    if isinstance(expected, Tensor):
        wanted, given = _form(expected), _form(found)
        return "" if wanted == given else f"{key} is {given}, expected {wanted}"
    return ""


def _form(value: Any) -> str:
    return f"{value.dtype} of {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _moved(row: Any, device: torch.device) -> Any:
    """A row's tensors on a device; checkpoints are read on the CPU."""
    if isinstance(row, dict):
        return {name: _moved(value, device) for name, value in row.items()}
    return row.to(device) if isinstance(row, Tensor) else row


class _Stretch:
    """The updates of a stretch: everything that depends on progress is tabulated before the first."""

    def __init__(self, task: Task, members: Sequence[Member], count: int, dtype: torch.dtype):
        self.grad_evals = [0] * len(members)
        self._task, self._dtype = task, dtype
        self._at: Tensor | None = None
        self._leaves: dict[str, Tensor] = {}
        self._starts = [member.steps for member in members]
        self._order = Noise([member.seeds.order for member in members], task.device)
        self._noise = Noise([member.seeds.noise for member in members], task.device)
        self._rows = torch.stack([_batches(task, member, count) for member in members], dim=1).to(task.device)
        moments = [member.timeline.at(member.steps, count) for member in members]
        self._lr = torch.stack([m.lr for m in moments], dim=1).to(task.device, dtype)
        self._beta = torch.stack([m.beta for m in moments], dim=1).to(task.device, dtype)
        self._frozen = [_frozen(codes) for codes in torch.stack([m.frozen for m in moments], dim=1).tolist()]
        self._hparams = _columns(members, dtype, task.device)
        self._ema_decays = [member.settings.train.ema for member in members]
        self._ratio = _part_ratios(task, members, dtype)
        self._clip = _clip_norms(members, task.device)
        self._free_bits = FreeBitsTable(
            [FreeBits(**m.settings.train.free_bits.model_dump()) for m in members], task.model.latent_dim, self._lr
        )

    def update(self, i: int, optimizer: Optimizer, params: Tensor, state: Any) -> tuple[Tensor, Any, Tensor]:
        """Update ``i`` of the stretch: new parameters, new state, losses ``[K]``."""
        steps = [start + i for start in self._starts]
        x, eps = self._batch(i, steps)
        beta, frozen = self._beta[i], self._frozen[i]

        def grad_fn(at: Tensor, wanted: Sequence[bool] | None = None, /) -> tuple[Tensor, Tensor]:
            paid = [True] * len(steps) if wanted is None else wanted
            self.grad_evals = [count + more for count, more in zip(self.grad_evals, paid, strict=True)]
            grads, loss = self._gradients(at, x, eps, beta)
            for k, part in enumerate(frozen or ()):
                if part is not None:
                    grads[k, self._task.model.layout.columns(part)] = 0.0
            return self._clipped(grads), loss

        lr = self._lr[i, :, None] if self._ratio is None else self._lr[i, :, None] * self._ratio
        return optimizer.step(
            grad_fn,
            params,
            state,
            {**self._hparams, "lr": lr},
            lambda draw=0, /: self._weight_noise(steps, draw, params.shape[1]),
            frozen,
        )

    def _weight_noise(self, steps: Sequence[int], draw: int, width: int) -> Tensor:
        """Standard normals ``[K, P]`` for one of the draws of the weights in a step."""
        keys = [step + draw * MOST_STEPS for step in steps]
        return self._noise.normal(Stream.WEIGHTS, keys, width, dtype=self._dtype)

    def ema_decay(self, i: int) -> Tensor:
        """How much of the averaged weights stays at update ``i``, ``[K, 1]``: the members' decays, less in the first
        updates, min(decay, (1 + t) / (10 + t)), so that the start is soon forgotten."""
        steps = [start + i for start in self._starts]
        early = [[min(decay, (1 + t) / (10 + t))] for decay, t in zip(self._ema_decays, steps, strict=True)]
        return torch.tensor(early, dtype=self._dtype, device=self._task.device)

    def _batch(self, i: int, steps: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = self._rows[i]
        x = self._task.examples.train.index_select(0, rows.reshape(-1)).view(*rows.shape, -1)
        if self._task.examples.dynamic:
            u = self._order.uniform(Stream.BINARIZE, steps, *x.shape[1:], dtype=x.dtype)
            x = torch.lt(u, x, out=u)
        eps = self._noise.normal(Stream.LATENT, steps, rows.shape[1], self._task.model.latent_dim, dtype=self._dtype)
        return x, eps

    def _gradients(self, at: Tensor, x: Tensor, eps: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        if at is not self._at:  # an optimizer that updates in place comes back with the same tensor
            self._at = at
            self._leaves = {k: v.detach().requires_grad_() for k, v in self._task.model.layout.views(at).items()}
        loss = self._loss(self._leaves, x, eps, beta)
        grads = torch.autograd.grad(loss, list(self._leaves.values()), torch.ones_like(loss))
        return self._task.model.layout.pack(grads), loss.detach()

    def _loss(self, params: dict[str, Tensor], x: Tensor, eps: Tensor, beta: Tensor) -> Tensor:
        """Distortion + beta * rate with free bits, ``[K]``, nats per example."""
        mu, logvar = self._task.model.encode(params, x)
        output = self._task.model.decode(params, reparameterise(mu, logvar, eps))
        distortion = self._task.likelihood.distortion(output, x).mean(-1)
        return distortion + beta * self._free_bits.rate(gaussian_rate(mu, logvar))

    def _clipped(self, grads: Tensor) -> Tensor:
        if self._clip is None:
            return grads
        # In float64 no sum of squares of float32 gradients overflows.
        norm = torch.linalg.vector_norm(grads, dim=1, keepdim=True, dtype=torch.float64)
        factor = torch.where(self._clip < norm, self._clip / norm, 1.0)  # without a bound 1, of any norm
        return grads * factor.to(grads.dtype)


def _frozen(codes: Sequence[int]) -> Frozen | None:
    """The members' frozen parts at one update, from the timeline's codes; None where nothing is frozen."""
    return [(*PARTS, None)[code] for code in codes] if any(code >= 0 for code in codes) else None


def _batches(task: Task, member: Member, count: int) -> Tensor:
    """The rows of a member's next ``count`` batches, all in one epoch, ``[S, B]``."""
    epoch, first = divmod(member.steps, task.steps_per_epoch)
    order = permutation(member.seeds.order, epoch, len(task.examples.train))
    start = first * task.batch_size
    return order[start : start + count * task.batch_size].view(count, task.batch_size)


def _columns(members: Sequence[Member], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Each numeric hyperparameter of the members as ``[K, 1]``."""
    return {
        name: torch.tensor([[number(m.settings.hyperparameters[name])] for m in members], dtype=dtype, device=device)
        for name in members[0].settings.hyperparameters
    }


def _part_ratios(task: Task, members: Sequence[Member], dtype: torch.dtype) -> Tensor | None:
    """The learning rate of each column over the encoder's, ``[K, P]``; None where all are 1."""
    ratios = [member.settings.train.decoder_lr_ratio for member in members]
    if all(ratio == 1 for ratio in ratios):
        return None
    table = torch.ones(len(members), task.model.layout.width, dtype=dtype, device=task.device)
    table[:, task.model.layout.columns("decoder")] = torch.tensor(ratios, dtype=dtype, device=task.device)[:, None]
    return table


def _clip_norms(members: Sequence[Member], device: torch.device) -> Tensor | None:
    """The members' bounds on the gradient norm, ``[K, 1]`` in float64; None where there are none."""
    norms = [member.settings.train.clip_norm for member in members]
    if all(norm is None for norm in norms):
        return None
    values = [[float("inf") if norm is None else norm] for norm in norms]
    return torch.tensor(values, dtype=torch.float64, device=device)
