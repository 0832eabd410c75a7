"""A channel through the deployed stack: the real functions, the real image."""

import time

from deployed import Publisher, decode
from emulator import wait_for


def test_a_channel_plays_through_the_stack(stack):
    job_id = stack.create()
    ingest = stack.ingest(job_id)
    with Publisher(ingest):
        stack.until(job_id, "streaming")
        first = wait_for("a playlist", lambda: stack.playlist(job_id))
        later = wait_for(
            "two more segments",
            lambda: (now := stack.playlist(job_id)) and now[0] + len(now[1]) >= first[0] + len(first[1]) + 2 and now,
        )
        assert "#EXT-X-ENDLIST" not in later[2]
        assert decode(stack.media_url(job_id), 4) >= 90, "25 frames/s"
        status, _ = stack.api.call("PUT", f"/jobs/{job_id}/stop")
        assert status in (200, 202)
        stack.until(job_id, "stopped", 30)
    assert "#EXT-X-ENDLIST" in stack.playlist(job_id)[2]
    # The worker was told to stay for five seconds.
    wait_for("the task's end", lambda: not stack.containers(), 30)
