"""The laws that every registered component keeps, for its author's tests and for ``vaestudy check`` on plug-ins.

Each law is a sentence, and is called with a component's name; it raises ``BrokenLawError`` where it does not hold::

    @pytest.mark.parametrize("law", optimizer_laws, ids=str)
    def test_signum_keeps_the_laws(law: Law) -> None:
        law("signum")
"""

from vaestudy.testing.components import Component, held, registered
from vaestudy.testing.laws import BrokenLawError, Law
from vaestudy.testing.likelihoods import likelihood_laws
from vaestudy.testing.models import model_laws
from vaestudy.testing.optimizers import optimizer_laws
from vaestudy.testing.schedules import schedule_laws

__all__ = [
    "BrokenLawError",
    "Component",
    "Law",
    "held",
    "likelihood_laws",
    "model_laws",
    "optimizer_laws",
    "registered",
    "schedule_laws",
]
