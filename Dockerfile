# bargein serve in a container: docker build -t bargein . && docker run -p 8780:8780 \
#     -e BARGEIN_API_KEY=bridge -e BARGEIN_API_SECRET=… bargein
FROM python:3.13-slim AS build
WORKDIR /source
COPY setup.cfg pyproject.toml README.md LICENSE MANIFEST.in ./
COPY bargein bargein
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[server]'

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels 'bargein[server]' \
    && rm -r /wheels \
    && useradd --system --uid 10001 --no-create-home bargein
# One process a core is the rule; the judge's products are too small for BLAS to share out.
ENV OPENBLAS_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8780
# With --certificate or another --port: docker run --no-healthcheck, or a check of your own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8780/healthz', timeout=2)"]
# Without keys in the environment it says so and ends: whoever reaches the port would be served.
ENTRYPOINT ["bargein", "serve", "--host", "0.0.0.0"]
CMD ["--workers", "1"]
