# The image contains only Python, the libraries that it loads, and the application: no shell and no package manager.
# docker build --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag model-injector:0.1.0 .
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# The hash seed makes the bytecode reproducible.
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
RUN apt-get update \
 && apt-get upgrade --yes \
 && apt-get install --yes --no-install-recommends binutils ca-certificates python3-venv \
 && python3 -m venv /build \
 && python3 -m venv --without-pip /opt/model-injector

# Installed before the project's code is copied, so that a change of the code does not invalidate this layer. Only
# hatchling and its dependencies are taken from the development lock: the rest is many times larger than the image.
COPY requirements.lock requirements-dev.lock /src/
RUN awk '/^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/, !/\\$/' \
      /src/requirements-dev.lock >/src/build.lock \
 && /build/bin/pip install --only-binary :all: --require-hashes --requirement /src/build.lock \
 && /build/bin/pip --python /opt/model-injector/bin/python3 \
      install --no-compile --only-binary :all: --require-hashes --requirement /src/requirements.lock

# The asynchronous variant of the Kubernetes client is not imported. Removing it and its dependencies saves 50 MB, and the
# security advisories of aiohttp.
RUN /build/bin/pip --python /opt/model-injector/bin/python3 uninstall --yes \
      aiohappyeyeballs aiohttp aiohttp-retry aiosignal attrs frozenlist propcache yarl \
 && cd /opt/model-injector/lib/python3.11/site-packages \
 && rm -r kubernetes/aio ./*/tests \
 && find . -name '*.so' -exec strip --strip-debug {} +

COPY LICENSE README.md pyproject.toml /src/
COPY certs /src/certs
COPY webhook /src/webhook
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist /src \
 && /build/bin/pip --python /opt/model-injector/bin/python3 \
      install --no-compile --no-deps --no-index --find-links /dist model-injector \
 && find /opt/model-injector/bin -type f ! -name model-injector -delete

# dpkg lists the paths of the libraries on each architecture. Tests are omitted, and modules for terminals and databases,
# because they need more libraries. Licences and dpkg's records are kept, because image scanners read them.
ENV PACKAGES="base-files ca-certificates gcc-12-base libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 liblzma5 libssl3 libuuid1 \
zlib1g libpython3.11-minimal libpython3.11-stdlib python3-minimal python3.11-minimal"
RUN dpkg --listfiles ${PACKAGES} | sed 's|^/lib|/usr/lib|' | sort --unique \
      | grep -E '^/(etc/(debian_version|os-release)$|usr/(bin/python3|lib|share/(common-licenses|doc/[^/]+(/copyright)?$)))' \
      | grep -vE '/(binfmt\.d|curses|dbm|gconv|pydoc_data|sqlite3|test|turtle\.py)(/|$)' \
      | grep -vE '/lib-dynload/(_crypt|_ctypes_test|_curses|_dbm|_sqlite3|_test|_xx|nis|readline|xx)' >/files \
 && find / -maxdepth 1 -regex '/lib\(64\)?' >>/files \
 && echo /etc/ssl/certs/ca-certificates.crt >>/files \
 && find /opt/model-injector >>/files \
 && tar --create --file /image.tar --no-recursion --files-from /files \
 && mkdir -p /image/var/lib/dpkg/status.d \
 && tar --extract --file /image.tar --directory /image \
 && for package in ${PACKAGES}; do dpkg-query --status "$package" >/image/var/lib/dpkg/status.d/"$package" || exit; done \
 && echo 'hosts: files dns' >/image/etc/nsswitch.conf \
 && printf '%s:x:%s:%s::/:/sbin/nologin\n' root 0 0 nonroot 65532 65532 >/image/etc/passwd \
 && printf '%s:x:%s:\n' root 0 nonroot 65532 >/image/etc/group \
 && mkdir -m 1777 /image/tmp

# Bytecode is compiled here, because the file system is read-only at run time, and without checks of the source's time,
# because all files get the same time. The source of the Kubernetes client, 34 MB of generated code, is deleted. The build
# fails if the application does not start.
RUN client=/opt/model-injector/lib/python3.11/site-packages/kubernetes/client \
 && python="chroot /image /opt/model-injector/bin/python3" \
 && compile="$python -m compileall -q --invalidation-mode unchecked-hash" \
 && $compile -b -o 2 "$client" \
 && find "/image$client" -name '*.py' -delete \
 && $compile /usr/lib/python3.11 /opt/model-injector/lib \
 && $python /opt/model-injector/bin/model-injector --version \
 && $python -c 'import certs.source, httptools, kubernetes.client.rest, kubernetes.config, uvloop, webhook.server, webhook.node_cache.run' \
 && find /image -exec touch --no-dereference --date @0 {} +

FROM scratch
COPY --from=build /image /
ENV PATH=/opt/model-injector/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# A numeric ID, because runAsNonRoot cannot check a name. Any other non-root ID works, too.
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["model-injector"]
CMD ["--help"]

# Last, so that images of different commits share the layers above.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="model-injector" \
      org.opencontainers.image.description="A Kubernetes admission webhook that puts model files into annotated pods" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/OWNER/model-injector" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
