"""What a study leaves in ``report/`` at its end, as its section ``report`` says."""

from __future__ import annotations

from collections.abc import Callable

from vaestudy.spec import Study
from vaestudy.study.folder import StudyFolder


def reporter(study: Study) -> Callable[[StudyFolder], object]:
    """Loads what the report needs, and gives what writes it.

    To be called before the search: a study of days is to end with the code that it began with. What draws takes
    seconds to load and 60 MB, and is left out where there are to be no figures.
    """
    wanted = study.report.formats
    if study.report.figures:
        from vaestudy.study.paper import make_export

        return lambda folder: make_export(folder.path, wanted, folder.report)
    from vaestudy.analysis.table_files import export_tables

    tables = [name for name in wanted if name != "html"]
    return lambda folder: export_tables(folder.path, tables, folder.report)
