"""`concordat audit reindex`: makes the search index anew from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.cli.options import Home, Json, settings_of
from gateway.cli.output import Stop, amount, line, show_json

if TYPE_CHECKING:
    from gateway.audit.keys.log_keys import LogKeys
    from gateway.audit.place import Place


def reindex(*, home: Home = None, as_json: Json = False) -> None:
    """Make the search index of every shard anew from the log; works while the gateway runs.

    The index holds nothing that is not in the log. Searches find what is indexed so far meanwhile,
    and say how far that is; counts wait for the indices of ended shards.
    """
    from gateway.audit.keys.log_keys import LogKeys
    from gateway.audit.reading.reader import find_log, find_shards
    from gateway.audit.store import LogUnavailable
    from gateway.cli.audit_table import instant
    from gateway.data_plane import log_home

    settings = settings_of(home)
    try:
        find_log(log_home(settings))
        keys = LogKeys(settings.keys_directory)
        made = [_made_anew(place, keys) for place in find_shards(log_home(settings))]
    except LogUnavailable as failure:
        mend = "run the gateway once, or remove the file index-*.db beside the log and try again"
        raise Stop(str(failure), mend=mend) from None
    if as_json:
        show_json({**made[-1], "shards": made})
        return
    for one in made:
        line(f"{one['file']}: {amount(one['records'], 'record')}, to {instant(one['at'])}")


def _made_anew(log: Place, keys: LogKeys) -> dict[str, Any]:
    from gateway.audit.search.follow import Follower
    from gateway.audit.search.index import index_path, index_snapshot, watermark

    follower = Follower(log, keys=keys)
    try:
        follower.forget_all()
        while follower.step():
            pass
    finally:
        follower.close()
    with index_snapshot(log) as index:
        mark = watermark(index)
    return {"file": index_path(log).name, "records": mark.next_index, "at": mark.at_us}
