# `anydepth serve` on a CPU. Not built where it was written: there was no Docker.
#
#   docker build -t anydepth .
#   docker run --rm -p 127.0.0.1:8000:8000 anydepth
#   docker run --rm -p 127.0.0.1:8000:8000 -v anydepth:/home/anydepth/.cache anydepth --model dav2-base-sdt
FROM python:3.11-slim

# Wheels without CUDA, gigabytes smaller; empty for the usual index.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-cache-dir torch==2.13.0 ${TORCH_INDEX:+--index-url $TORCH_INDEX}

COPY . /source
RUN pip install --no-cache-dir '/source[serve,formats]' && rm -r /source

RUN useradd --create-home anydepth && mkdir -p /home/anydepth/.cache && chown anydepth /home/anydepth/.cache
USER anydepth
WORKDIR /home/anydepth

# Inside a container all addresses are its own; `-p 127.0.0.1:8000:8000` decides who may come.
EXPOSE 8000
ENTRYPOINT ["anydepth", "serve", "--host", "0.0.0.0"]
