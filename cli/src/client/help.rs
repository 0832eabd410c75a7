//! What `--help` teaches beyond the list of options.

/// For `ezlive --help`.
pub const OVERVIEW: &str = "\
A first channel:
  ezlive up                                  in a shell of its own
  ezlive create live_job.json                make a job; prints its id and what to play
  ezlive publish 5d7e                        push a test picture to it, or:
  ezlive get 5d7e                            where to push to, and how it goes
  ezlive stop 5d7e --wait

A job is named by its id, or by 4 or more characters of its start or end.

Exit codes:
  0    done
  1    the API refused, or the job failed or is in no state for it
  2    wrong usage, or this machine lacks something
  3    the API can't be reached
  4    no such job or worker
  130  ended by Ctrl-C, 143 by SIGTERM
  `publish` otherwise ends with FFmpeg's own exit code.

With --json, results go to standard output as JSON and a refusal to standard
error as the API's problem document (RFC 9457).";

/// For `ezlive create`.
pub const CREATE: &str = "\
Examples:
  ezlive create live_job.json
  ezlive create live_job.json --watch
  ID=$(ezlive create live_job.json --json | jq -r .id)
  jq '.Output.Segment_duration = 2' live_job.json | ezlive create -

A lost answer does no harm: give the same --idempotency-key again and get the
same job. With --watch and --json, the job is the first line and each change
another.";

/// For `ezlive list`.
pub const LIST: &str = "\
Examples:
  ezlive list
  ezlive list --state streaming --all
  ezlive list --all --json | jq -r '.jobs[] | select(.stats.speed < 0.98) | .id'";

/// For `ezlive get`.
pub const GET: &str = "\
Shows the stream key too: mind who looks on.

Examples:
  ezlive get 5d7e
  ezlive get 5d7e --json | jq -r .playback.hls";

/// For `ezlive events`.
pub const EVENTS: &str = "\
Examples:
  ezlive events 5d7e
  ezlive events 5d7e --json | jq '.events[] | select(.to == \"failed\")'";

/// For `ezlive watch`.
pub const WATCH: &str = "\
Prints a line for every change, timed in milliseconds since the first line,
and on a terminal a live line with frame rate, speed and bitrate. Ends when
the job is stopped or deleted (exit code 0) or failed (1). The API may be away for up to
a minute.

Examples:
  ezlive watch 5d7e
  ezlive watch 5d7e --from-start
  ezlive watch 5d7e --json | jq -r .to       one JSON line a change";

/// For `ezlive stop`, `pause` and `resume`.
pub const CHANGE: &str = "\
Asking twice does no harm. --wait returns when the job is there, with exit
code 1 if it goes another way. Meanwhile the API may be away for up to a
minute.

Examples:
  ezlive stop 5d7e --wait
  ezlive pause 5d7e
  ezlive resume 5d7e --wait";

/// For `ezlive delete`.
pub const DELETE: &str = "\
Without --media, what the job has published stays where it is, and plays on.

Examples:
  ezlive delete 5d7e
  ezlive delete 5d7e --force --media         stop it, and delete all it has published";

/// For `ezlive plan`.
pub const PLAN: &str = "\
The command goes to standard output, quoted for a shell; warnings go to
standard error. Nothing is created.

Examples:
  ezlive plan live_job.json
  ezlive plan live_job.json --json | jq .spec       the spec with all its defaults";

/// For `ezlive publish`.
pub const PUBLISH: &str = "\
Waits for the job's ingest address (the API may be away for up to a minute),
then runs FFmpeg and ends with its exit code; ending this command ends FFmpeg.
Where the ingest goes away, as when the job moves to another worker, it is
asked for again, for up to a minute; a file then begins again. H.264 and AAC in a file go out as they are, anything else, or all with
--size or --fps, is encoded.

Without a file the picture shows the time of day, in digits for people and as
a row of black and white cells for programs: 1 white, 0 black, cells 2 to 45
of 48 the milliseconds since 1970, highest bit first. It beeps and flashes in
the first tenth of every second.

The stream key is never printed, but FFmpeg takes it as an argument only:
other users of this machine can see it in the process list while it runs.

Examples:
  ezlive publish 5d7e
  ezlive publish 5d7e --size 1920x1080 --fps 50
  ezlive publish 5d7e film.mp4 --loop";

/// For `ezlive workers`.
pub const WORKERS: &str = "\
A drained worker serves its job until another one is ready, then hands it over
and leaves; a pushed input reconnects once.

Examples:
  ezlive workers list
  ezlive workers get 0a1b
  ezlive workers drain 0a1b                  its job goes to another worker";

/// For `ezlive doctor`.
pub const DOCTOR: &str = "\
Exit code 0 if all that is needed is there, else 1; each lack comes with its
remedy. An API that isn't running is a fault only if you name it; without --url
and EZLIVE_URL it is looked for where --listen says.

Examples:
  ezlive doctor
  ezlive doctor --data /srv/ezlive --rtmp-ports 1935-1940
  ezlive doctor --listen 127.0.0.1:1180 --rtmp-ports 1935
  ezlive doctor --ffmpeg /opt/ffmpeg/bin/ffmpeg
  ezlive doctor --json | jq '.checks[] | select(.status != \"ok\")'";
