"""`concordat audit reindex`: makes the search index anew from the log."""

from __future__ import annotations

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Stop, line, show_json


def reindex(*, home: Home = None, as_json: Json = False) -> None:
    """Make the search index anew from the log; works while the gateway runs.

    The index holds nothing that is not in the log. Searches find what is indexed so far meanwhile,
    and say how far that is.
    """
    from gateway.audit.follow import Follower
    from gateway.audit.index import index_path, index_snapshot, watermark
    from gateway.audit.keys import LogKeys
    from gateway.audit.reader import find_log
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_table import instant
    from gateway.data_plane import log_home

    settings = settings_of(home)
    try:
        log = find_log(log_home(settings))
        follower = Follower(log, keys=LogKeys(settings.keys_directory))
        try:
            follower.forget_all()
            while follower.step():
                pass
        finally:
            follower.close()
        with index_snapshot(log) as index:
            mark = watermark(index)
    except LogUnavailable as failure:
        mend = "run the gateway once, or remove the file index-*.db beside the log and try again"
        raise Stop(str(failure), mend=mend) from None
    if as_json:
        show_json({"file": index_path(log).name, "records": mark.next_index, "at": mark.at_us})
    else:
        line(f"{index_path(log).name}: {mark.next_index} records, to {instant(mark.at_us)}")
