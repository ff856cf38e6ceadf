# A static binary and certificate authorities, nothing else: no shell, no package manager, not root.
#   docker build -t evenkeel:0.1.0 .
# Debian in both stages: the binary equals one built with `rustup target add` and `musl-tools` elsewhere.
FROM rust:1.95-slim-bookworm AS build
# musl-tools: the C compiler for libgit2, SQLite, QuickJS and mimalloc.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
RUN rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /build
# benches: Cargo.toml lists them. examples: `evenkeel init` embeds one.
COPY Cargo.toml Cargo.lock build.rs ./
COPY benches benches
COPY examples examples
COPY src src
# Both architectures: the build scripts of dependencies look up the compiler by target.
ENV CC_x86_64_unknown_linux_musl=musl-gcc CC_aarch64_unknown_linux_musl=musl-gcc
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --profile dist --bin evenkeel --target "$(uname -m)-unknown-linux-musl" \
    && cp "target/$(uname -m)-unknown-linux-musl/dist/evenkeel" /evenkeel
# The state folder without a volume, and /tmp for libraries.
RUN mkdir -p /root-fs/var/lib/evenkeel /root-fs/tmp && chmod 1777 /root-fs/tmp \
    && chown 65532:65532 /root-fs/var/lib/evenkeel

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /root-fs/var/lib/evenkeel /var/lib/evenkeel
COPY --from=build /root-fs/tmp /tmp
COPY --from=build /evenkeel /evenkeel
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /var/lib/evenkeel
EXPOSE 7400 9443
ENTRYPOINT ["/evenkeel"]
