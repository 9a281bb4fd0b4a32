"""torch.optim's own classes through the lift, as ``torch.Adam`` and so on, with their sources.

Left out: LBFGS evaluates a closure, SparseAdam wants sparse gradients, and Muon takes matrices only: which other method
its biases and outer layers get is a choice of the author's, not ours.
"""

from __future__ import annotations

import torch

from vaestudy.optimizers.adam import KINGMA, LOSHCHILOV
from vaestudy.optimizers.lift import add_known
from vaestudy.optimizers.rmsprop import HINTON
from vaestudy.optimizers.sgd import ROBBINS
from vaestudy.registry import Source

RIEDMILLER = Source(
    "riedmiller1993direct",
    "Riedmiller, Martin and Braun, Heinrich",
    "A Direct Adaptive Method for Faster Backpropagation Learning: The {RPROP} Algorithm",
    1993,
    "10.1109/ICNN.1993.298623",
)
POLYAK = Source(
    "polyak1992acceleration",
    "Polyak, Boris T. and Juditsky, Anatoli B.",
    "Acceleration of Stochastic Approximation by Averaging",
    1992,
    "10.1137/0330046",
)
DUCHI = Source(
    "duchi2011adaptive",
    "Duchi, John and Hazan, Elad and Singer, Yoram",
    "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011,
    "Journal of Machine Learning Research 12, 2121-2159",
)
ZEILER = Source(
    "zeiler2012adadelta",
    "Zeiler, Matthew D.",
    "{ADADELTA}: An Adaptive Learning Rate Method",
    2012,
    "arXiv:1212.5701",
)
DOZAT = Source(
    "dozat2016incorporating",
    "Dozat, Timothy",
    "Incorporating {N}esterov Momentum into {A}dam",
    2016,
    "ICLR Workshop",
)
SHAZEER = Source(
    "shazeer2018adafactor",
    "Shazeer, Noam and Stern, Mitchell",
    "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost",
    2018,
    "arXiv:1804.04235",
)
LIU = Source(
    "liu2020variance",
    "Liu, Liyuan and Jiang, Haoming and He, Pengcheng and Chen, Weizhu and Liu, Xiaodong and Gao, Jianfeng and Han, "
    "Jiawei",
    "On the Variance of the Adaptive Learning Rate and Beyond",
    2020,
    "arXiv:1908.03265",
)

SOURCES: dict[type[torch.optim.Optimizer], Source] = {
    torch.optim.SGD: ROBBINS,
    torch.optim.Rprop: RIEDMILLER,
    torch.optim.ASGD: POLYAK,
    torch.optim.Adagrad: DUCHI,
    torch.optim.Adadelta: ZEILER,
    torch.optim.RMSprop: HINTON,
    torch.optim.Adam: KINGMA,
    torch.optim.Adamax: KINGMA,
    torch.optim.NAdam: DOZAT,
    torch.optim.Adafactor: SHAZEER,
    torch.optim.AdamW: LOSHCHILOV,
    torch.optim.RAdam: LIU,
}

AVERAGES: dict[type[torch.optim.Optimizer], str] = {torch.optim.ASGD: "ax"}
"""The accumulator at which a class that averages its parameters is judged: the average is its result."""

for _class, _source in SOURCES.items():
    add_known(f"torch.{_class.__name__}", _class, _source, AVERAGES.get(_class))
