# expirer's image: built on Debian 13, run on Debian 13 slim as uid 10001 with
# nothing but the binary and the libraries it links.
#   docker build -t expirer --build-arg REVISION=$(git rev-parse HEAD) .
# BASE takes another Debian or a digest: debian:trixie-slim@sha256:…
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY scripts/install-deps scripts/
# Debian's images clear the package cache after every install, which would
# empty the cache mount. Each stage has mounts of its own: buildah 1.28 holds a
# locked one to the end of the build.
RUN --mount=type=cache,id=expirer-build-apt,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=expirer-build-lists,target=/var/lib/apt,sharing=locked \
    rm -f /etc/apt/apt.conf.d/docker-clean && scripts/install-deps
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY src src
COPY packaging/sbom packaging/
ARG REVISION=unknown
# out/packages: the packages of the libraries that the binary itself names.
# Read off instead of written down, since their names carry the libraries'
# versions; apt brings what those need in turn.
RUN --mount=type=cache,id=expirer-ccache,target=/root/.cache/ccache \
    cmake --preset release -D EXPIRER_TESTS=OFF -D EXPIRER_BENCH=OFF -D EXPIRER_COMMIT=${REVISION} && \
    cmake --build --preset release --target expirer && \
    cmake --install build/release --strip --prefix /out && \
    objdump -p /out/bin/expirer | awk '$1 == "NEEDED" {print "*/" $2}' | \
      xargs dpkg -S | cut -d: -f1 | sort -u > /out/packages && \
    cat /out/packages && \
    packaging/sbom --compiled-in > /out/compiled-in

FROM ${BASE}
# Copied, not only mounted below: what a mount holds is no part of a layer's key,
# so a build cache of before a library was added would be taken as it is.
COPY --from=build /out/packages /usr/share/doc/expirer/packages
# ca-certificates: for a NATS server whose certificate a public authority signed.
RUN --mount=type=cache,id=expirer-apt,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=expirer-lists,target=/var/lib/apt,sharing=locked \
    export DEBIAN_FRONTEND=noninteractive && \
    rm -f /etc/apt/apt.conf.d/docker-clean && \
    apt-get -qq update && \
    apt-get -qq install -y --no-install-recommends ca-certificates $(cat /usr/share/doc/expirer/packages) && \
    groupadd --gid 10001 expirer && \
    useradd --uid 10001 --gid expirer --home-dir /var/lib/expirer --no-create-home \
            --shell /usr/sbin/nologin expirer && \
    install -d -o expirer -g expirer -m 0750 /var/lib/expirer && \
    rm -rf /var/log/apt /var/log/dpkg.log /var/log/alternatives.log /var/cache/ldconfig
COPY --from=build /out/bin/expirer /usr/local/bin/expirer
# Here and not where it was built: the versions are of what is installed here.
RUN --mount=type=bind,from=build,source=/,target=/build \
    /build/src/packaging/sbom /usr/local/bin/expirer /build/out/compiled-in > /usr/share/doc/expirer/expirer.spdx.json

ARG REVISION=unknown
LABEL org.opencontainers.image.title="expirer" \
      org.opencontainers.image.description="Durable delayed messages for NATS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}"
ENV EXPIRER_STORE=/var/lib/expirer
# By number: Kubernetes' runAsNonRoot does not look names up.
USER 10001:10001
WORKDIR /var/lib/expirer
VOLUME /var/lib/expirer
# serve drains within 20 s of it.
STOPSIGNAL SIGTERM
# Whether the process turns, not whether NATS is there or the volume has room:
# who restarts what is unhealthy would help against neither. Kubernetes ignores
# this; the chart has probes of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10m --retries=3 CMD ["expirer", "health"]
ENTRYPOINT ["expirer"]
CMD ["serve"]
