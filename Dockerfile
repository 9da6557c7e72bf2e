# The image: one static binary on an empty root. Checked by tests/image.rs.
#
#   docker build -t watchpost .
#
# From a binary that is already built (a folder with `watchpost` and an empty folder `data` in it):
#
#   docker build --target runtime --build-context binary=./folder -t watchpost .

FROM rust:1.95-bookworm AS builder
# musl, because a static glibc binary cannot look up names in an empty root. The version is Debian's stable one.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY . .
RUN TARGET_CC=musl-gcc cargo build --release --locked --package watchpost --target "$(uname -m)-unknown-linux-musl" \
    && mkdir -p /out/data \
    && cp "target/$(uname -m)-unknown-linux-musl/release/watchpost" /out/watchpost

# Its own stage, so that a build context of the same name can stand in for it.
FROM scratch AS binary
COPY --from=builder /out /

FROM scratch AS runtime
LABEL org.opencontainers.image.title="Watchpost" \
      org.opencontainers.image.description="Metrics, alerts, dashboards, errors and uptime in one process" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=binary /watchpost /watchpost
# An empty folder with the right owner: a new volume takes both from here.
COPY --from=binary --chown=65532:65532 /data /data
ENV WATCHPOST_STORAGE__PATH=/data \
    WATCHPOST_SERVER__HTTP_LISTEN=:8080
USER 65532:65532
VOLUME /data
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["/watchpost", "healthcheck"]
ENTRYPOINT ["/watchpost"]
CMD ["serve"]
