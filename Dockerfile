# The one image of the product. The build context is a folder with nothing but the two static programs, which are built
# outside (see e2e/images/build):
#
#   RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target x86_64-unknown-linux-gnu -p operator -p webhook
#
# It holds no shell, no libraries and no root certificates: the programs talk only to the API server and to each other, and
# trust the cluster's authority and their own.
FROM scratch
LABEL org.opencontainers.image.title="sidecar-policy" \
      org.opencontainers.image.description="Webhook and operator that inject sidecars into pods by policy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY operator webhook /
USER 65532:65532
# No entry point: the chart says which of the two programs a container runs.
