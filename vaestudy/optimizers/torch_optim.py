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

for _class, _source, _family, _contains in (
    (torch.optim.SGD, ROBBINS, "sgd", ("sgd", "momentum", "nesterov")),
    (torch.optim.RMSprop, HINTON, "rmsprop", ("sgd", "momentum", "rmsprop")),
    (torch.optim.Adam, KINGMA, "adam", ("sgd", "momentum", "adam", "adamw")),
    (torch.optim.AdamW, LOSHCHILOV, "adam", ("sgd", "momentum", "adam", "adamw")),
    (torch.optim.Adamax, KINGMA, "adam", ("sgd", "momentum")),
    (torch.optim.NAdam, DOZAT, "adam", ("sgd",)),
    (torch.optim.RAdam, LIU, "adam", ("sgd", "momentum")),
    (torch.optim.Adagrad, DUCHI, "other", ("sgd",)),
    (torch.optim.Adadelta, ZEILER, "other", ("sgd",)),
    (torch.optim.Rprop, RIEDMILLER, "other", ()),
    (torch.optim.Adafactor, SHAZEER, "other", ()),
):
    add_known(f"torch.{_class.__name__}", _class, _source, family=_family, contains=_contains)

# The average is its result, so it is judged.
add_known("torch.ASGD", torch.optim.ASGD, POLYAK, evaluated_at="ax", family="sgd", contains=("sgd",))
