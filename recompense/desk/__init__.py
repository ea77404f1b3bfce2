"""The saga desk: what on-call people do with sagas, for the API and the command line alike.

`SagaDesk` lists, shows and resolves; `recompense.desk.replay.replay` carries a failed saga on.
"""

from recompense.desk.desk import SagaDesk, SagaPage
from recompense.desk.executions import TemporalSilent
from recompense.desk.models import SagaDetail, SagaRow, SagaStep, SagaStory
from recompense.desk.rows import UnknownSaga

__all__ = [
    "SagaDesk",
    "SagaDetail",
    "SagaPage",
    "SagaRow",
    "SagaStep",
    "SagaStory",
    "TemporalSilent",
    "UnknownSaga",
]
