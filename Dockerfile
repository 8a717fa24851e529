# AMI Bakery as a Docker image, built with BuildKit: `docker build -t ami-bakery .`
# docs/docker.md tells what each argument is for, and how to run it.

# A Debian or Ubuntu with Python 3.11 or newer.
ARG BASE=debian:bookworm-slim
# Where /bin/packer comes from: Debian's package, or an image such as hashicorp/packer:1.16.0
ARG PACKER_FROM=debian-packer
# yes or no: with ansible-playbook, for Packer's `ansible` provisioner
ARG ANSIBLE=no

FROM ${BASE} AS base
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        ca-certificates git libnss-wrapper openssh-client python3 tini >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* /var/log/* \
    && chmod 1777 /root

FROM ${BASE} AS debian-packer
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends packer >/dev/null

FROM ${PACKER_FROM} AS packer

FROM base AS plugins
ARG PACKER_PLUGINS=""
RUN --mount=type=bind,from=packer,source=/bin/packer,target=/usr/local/bin/packer \
    --mount=type=bind,source=docker/install,target=/install --mount=type=secret,id=ca.crt \
    /install plugins ${PACKER_PLUGINS}

FROM base AS python
RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
# Of these, and of the secrets, nothing is in the image.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
ARG SOURCE_DATE_EPOCH=1577836800
COPY docker/install docker/requirements*.txt /build/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    /build/install tools

FROM base AS ansible-no
RUN mkdir /out

FROM python AS ansible-yes
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    /build/install dependencies /opt/ansible /build/requirements-ansible.txt \
    && mkdir -p /out/opt /out/usr/local/bin \
    && ln -s /opt/ansible/bin/ansible* /out/usr/local/bin \
    && mv /opt/ansible /out/opt

FROM ansible-${ANSIBLE} AS ansible

FROM python AS dependencies
# yes or no: with the embedded EC2 of `ami-bakery local`
ARG LOCAL=no
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    case ${LOCAL} in yes) which=requirements-local ;; no) which=requirements ;; *) exit 2 ;; esac \
    && /build/install dependencies /opt/ami-bakery "/build/${which}.txt"

FROM dependencies AS program
COPY LICENSE README.md pyproject.toml /source/
COPY docs/man /source/docs/man
COPY src /source/src
ARG VERSION=0.1.dev0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} /build/install program /opt/ami-bakery /source /program \
    && mkdir -p /program/usr/local/bin /program/etc \
    && ln -s /opt/ami-bakery/bin/ami-bakery /opt/ami-bakery/bin/bake /program/usr/local/bin
COPY docker/entrypoint /program/usr/local/bin/ami-bakery-entrypoint
COPY docker/gitconfig /program/etc/gitconfig

FROM base
COPY --from=packer /bin/packer /usr/local/bin/packer
COPY --from=plugins /root/.config /root/.config
COPY --from=ansible /out/ /
COPY --from=dependencies /opt/ami-bakery /opt/ami-bakery
COPY --from=program /program/ /
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
