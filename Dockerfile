# The venue, with its hot modules compiled in a stage that is left behind.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
# What is fetched is what the lock file says, byte for byte, and nothing is built of it; what is
# installed, and what builds it, comes from there alone.
COPY requirements.lock .
RUN pip download -q --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock -d /wheels
COPY . .
RUN python -m venv /venue \
    && /venue/bin/pip install -q --no-cache-dir --no-index --find-links /wheels .

FROM python:3.13-slim
COPY --from=build /venue /venue
RUN useradd --create-home venue
USER venue
ENV PATH=/venue/bin:$PATH
EXPOSE 8000
CMD ["nexus", "serve"]
