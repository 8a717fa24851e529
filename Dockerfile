# AMI Bakery as a Docker image, built with BuildKit: `docker build -t ami-bakery .`
# docs/guides/docker.md documents the arguments, and how to run the image.

# A Debian or Ubuntu image with Python 3.11 or newer.
ARG BASE=debian:bookworm-slim
# Source of /bin/packer: Debian's package, or an image such as hashicorp/packer:1.16.0
ARG PACKER_FROM=debian-packer
# yes or no: include ansible-playbook, for Packer's `ansible` provisioner
ARG ANSIBLE=no
# Timestamp of all files that the build creates, so that the layers are reproducible.
ARG SOURCE_DATE_EPOCH=1577836800

# Stages write the files of the image below /out, including folders, because COPY would create folders with the current
# time. Engines mount files over the two empty files; an engine that must create them would change /etc's timestamp.
FROM ${BASE} AS etc-out
ARG SOURCE_DATE_EPOCH
COPY --chmod=644 docker/gitconfig /out/etc/
RUN touch /out/etc/hosts /out/etc/resolv.conf \
    && find /out -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

# Truncate files of the base image instead of removing them: a removal adds a whiteout file with the current time.
FROM ${BASE} AS base
ARG SOURCE_DATE_EPOCH
COPY --from=etc-out /out/ /
RUN --mount=type=tmpfs,target=/tmp touch /tmp/begun \
    && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        ca-certificates git libnss-wrapper openssh-client python3 tini >/dev/null \
    && rm -f /var/lib/apt/lists/*_* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb \
    && find /var/log /var/cache/ldconfig -type f -newer /tmp/begun -exec truncate --size=0 {} + \
    && truncate --size=0 /var/cache/debconf/config.dat-old /var/cache/debconf/templates.dat-old \
    && mkdir /repository \
    && chmod 1777 /root \
    && find / -xdev ! -path /proc ! -path /sys ! -path /dev ! -path /tmp -newer /tmp/begun \
        -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${BASE} AS debian-packer
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends packer >/dev/null

FROM ${PACKER_FROM} AS packer

FROM base AS packer-out
ARG SOURCE_DATE_EPOCH
ARG PACKER_PLUGINS=""
RUN --mount=type=bind,from=packer,source=/bin/packer,target=/usr/local/bin/packer \
    --mount=type=bind,source=docker/install,target=/install --mount=type=secret,id=ca.crt \
    /install packer ${PACKER_PLUGINS}

FROM base AS python
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
# Neither these arguments nor the secrets are stored in the image.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
ARG SOURCE_DATE_EPOCH
COPY docker/install docker/requirements*.txt /build/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    /build/install tools

FROM base AS ansible-no
RUN mkdir /out

FROM python AS ansible-yes
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    /build/install dependencies /opt/ansible /build/requirements-ansible.txt \
    && /build/install commands /opt/ansible 'ansible*'

FROM ansible-${ANSIBLE} AS ansible

FROM python AS dependencies
# yes or no: include the embedded EC2 of `ami-bakery local`
ARG LOCAL=no
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    case ${LOCAL} in yes) which=requirements-local ;; no) which=requirements ;; *) exit 2 ;; esac \
    && /build/install dependencies /opt/ami-bakery "/build/${which}.txt"

FROM python AS program
COPY LICENSE README.md pyproject.toml /source/
COPY docs/man /source/docs/man
COPY src /source/src
COPY --chmod=755 docker/entrypoint /out/usr/local/bin/ami-bakery-entrypoint
ARG VERSION=0.1.dev0
RUN --mount=type=bind,from=dependencies,source=/out/opt/ami-bakery,target=/opt/ami-bakery \
    SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} /build/install program /opt/ami-bakery /source \
    && /build/install commands /opt/ami-bakery ami-bakery bake

FROM base
COPY --from=packer-out /out/ /
COPY --from=ansible /out/ /
COPY --from=dependencies /out/ /
COPY --from=program /out/ /
ENV HOME=/root LANG=C.UTF-8
WORKDIR /repository
ENTRYPOINT ["tini", "-s", "--", "ami-bakery-entrypoint"]
CMD ["bake"]
ARG VERSION=0.1.dev0
ARG REVISION=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="AMI Bakery" \
    org.opencontainers.image.description="Bakes AWS machine images with Packer, and only when their definition changed" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}"
