# One image for all roles and for the simulator; the target "simulator" is an image of the simulator alone. Node runs the TypeScript sources directly: what runs is what was tested.
# Pinned by digest with deploy/compose/pin.sh, which sets it.
ARG NODE_IMAGE=node:24-bookworm-slim
FROM ${NODE_IMAGE} AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY tools/node-runtime tools/node-runtime

FROM base AS modules
RUN --mount=type=cache,target=/tmp/npm npm ci --cache /tmp/npm --omit=dev --loglevel=error
# Types, TypeScript sources and source maps of packages: nothing loads them.
RUN find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete
# npm keeps the compiler, 30 MB, because a package names it as an optional peer.
RUN rm -rf node_modules/typescript node_modules/@typescript

FROM base AS page
RUN --mount=type=cache,target=/tmp/npm npm ci --cache /tmp/npm --include=dev --loglevel=error
COPY tsconfig.json ./
COPY src/client src/client
COPY src/studio src/studio
RUN node_modules/.bin/vite build --config src/studio/vite.config.ts

FROM base AS simulator-modules
# What src/simulator imports, in the versions of the lock file.
ARG SIMULATOR_MODULES="@peculiar/x509 ajv ajv-formats commander file-type reflect-metadata sharp undici zod"
RUN node -e "const fs = require('node:fs'); const all = JSON.parse(fs.readFileSync('package.json')); const wanted = process.env.SIMULATOR_MODULES.split(' '); const dependencies = Object.fromEntries(wanted.map((name) => [name, all.dependencies[name]])); fs.writeFileSync('package.json', JSON.stringify({ ...all, dependencies, devDependencies: {}, scripts: {} }))"
RUN --mount=type=cache,target=/tmp/npm npm install --cache /tmp/npm --omit=dev --ignore-scripts --no-audit --loglevel=error
RUN find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \) -delete

# docker build --target simulator -t replicate-simulator . && docker run -p 127.0.0.1:4010:4010 replicate-simulator --speed 10
FROM ${NODE_IMAGE} AS simulator
WORKDIR /app
ENV NODE_ENV=production
RUN mkdir /data && chown 1000:1000 /data
COPY package.json LICENSE ./
COPY --from=simulator-modules /app/node_modules node_modules
COPY src/simulator src/simulator
USER 1000:1000
VOLUME /data
EXPOSE 4010
ENTRYPOINT ["node", "src/simulator/main.ts", "--host", "0.0.0.0"]

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000 HEALTH_PORT=3001 DATA_DIR=/data
# The allocator's pools, one for each thread without this, keep what they were once given.
ENV MALLOC_ARENA_MAX=2
# Made here with its owner: a new volume takes both over.
RUN mkdir /data && chown 1000:1000 /data
COPY package.json LICENSE ./
COPY --from=modules /app/node_modules node_modules
COPY --from=page /app/dist/studio dist/studio
COPY src src
COPY presets presets
COPY docs/openapi.yaml docs/openapi.yaml
# Compiled once, with the flags of the command below: a start takes half the time, and the compiler stays out of memory. The
# first line ends at its role, after it has loaded what every role needs.
ENV NODE_COMPILE_CACHE=/app/.compiled
RUN node --max-semi-space-size=8 --heap-growing-percent=100 src/main.ts --role none >/dev/null 2>&1; \
  node --max-semi-space-size=8 --heap-growing-percent=100 -e "Promise.all([import('/app/src/compose/service.ts'), import('/app/src/compose/api.ts'), import('/app/src/compose/workers.ts')]).then(() => process.exit(0))"
# The user node of the base image, by number: an orchestrator that demands another user than root can check it.
USER 1000:1000
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# An api answers on PORT, a worker on HEALTH_PORT, whichever way the role was chosen.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "const { PORT, HEALTH_PORT } = process.env; const live = async (port) => { if (!(await fetch(`http://127.0.0.1:${port}/livez`)).ok) throw new Error() }; Promise.any([PORT, HEALTH_PORT].map(live)).then(() => process.exit(0), () => process.exit(1))"]
# Neither is a limit. Left alone, V8 keeps 128 MB for young objects and lets the rest grow to four times of what lives, which
# is about 40 MB in a worker, before it looks for garbage.
CMD ["node", "--max-semi-space-size=8", "--heap-growing-percent=100", "src/main.ts"]
