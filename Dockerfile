# The venue, with its hot modules compiled in a stage that is left behind.
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /src
COPY . .
RUN python -m venv /venue && /venue/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /venue /venue
RUN useradd --create-home venue
USER venue
ENV PATH=/venue/bin:$PATH
EXPOSE 8000
CMD ["nexus", "serve"]
