# The worker's image, from the repository's root:
#   docker build -f infra/worker.Dockerfile -t ezlive-worker .
# Or with a worker that was built before (on Debian 12 or older); the context is its folder:
#   docker build -f infra/worker.Dockerfile -t ezlive-worker --target prebuilt target/release

FROM docker.io/library/debian:bookworm-slim AS runtime
# FFmpeg with x264, x265, SVT-AV1, AAC and SRT; roots for what is pulled by https.
# Debian's security updates are wanted at each build, so no version is pinned.
# Its FFmpeg can draw into windows by way of Mesa and LLVM: 190 MB that a worker never loads.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ffmpeg \
    && dpkg --purge --force-depends libgl1-mesa-dri libllvm15 libz3-4 \
    && ffmpeg -loglevel error -f lavfi -i testsrc2 -frames:v 1 -c:v libx264 -f null - \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc /usr/share/locale /usr/share/man \
    && useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin worker
# An empty volume of a task gets the owner and mode of the image's folder only where the image
# names it as a volume; else it is root's alone (Fargate 1.4), and the health check can't be written.
VOLUME ["/tmp"]
USER 10001:10001
# The root may be read-only: the health check's file alone is written.
ENV EZLIVE_ALIVE_FILE=/tmp/ezlive-alive \
    EZLIVE_LOG_FORMAT=json
EXPOSE 1935
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/worker", "healthy"]
# SIGTERM drains: the worker hands its channel on, then ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/worker"]

FROM runtime AS prebuilt
COPY worker /usr/local/bin/worker

FROM docker.io/library/rust:1.95-bookworm AS compiled
WORKDIR /ezlive
COPY . .
RUN cargo build --locked --release --package worker --bin worker

FROM runtime
COPY --from=compiled /ezlive/target/release/worker /usr/local/bin/worker
