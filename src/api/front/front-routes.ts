import type { ArtifactStore } from '../../shared/artifacts/artifact-store.ts'
import type { LastingLinks } from '../../shared/artifacts/rules/lasting-links.ts'
import type { SigningSecretStore, TenantStore } from '../../shared/tenants/ports.ts'
import type { DeploymentKeep } from '../../shared/jobs/rules/keep.ts'
import type { SigningKeys } from '../../shared/values/signing-keys.ts'
import type { Route } from '../http.ts'
import type { Inputs } from '../../shared/inputs/inputs.ts'
import { accountRoutes } from './account.ts'
import { fileRoutes } from './files.ts'
import { createFrontLinks } from './front-links.ts'
import { createPredictionView } from './prediction.ts'
import { readRoutes, type ReadRoutesDependencies } from './reads.ts'
import { streamRoutes, type StreamRoutesDependencies } from './streams.ts'
import { predictionRoutes, type PredictionRoutesDependencies } from './predictions.ts'

export interface FrontDependencies
  extends
    Omit<PredictionRoutesDependencies, 'view'>,
    ReadRoutesDependencies,
    Pick<StreamRoutesDependencies, 'outputs' | 'enter'> {
  keys: SigningKeys
  lasting: LastingLinks
  keep: DeploymentKeep
  artifacts: Pick<ArtifactStore, 'open' | 'link'>
  inputs: Inputs
  tenants: Pick<TenantStore, 'tenant'>
  signingSecrets: Pick<SigningSecretStore, 'read'>
}

/** Replicate's own API under `/replicate/v1`: its predictions are our jobs (docs/replicate-api.md). */
export function frontRoutes(dependencies: FrontDependencies): Route[] {
  const links = createFrontLinks(dependencies.keys)
  const view = createPredictionView({ ...dependencies, links })
  return [
    ...predictionRoutes({ ...dependencies, view }),
    ...fileRoutes(dependencies),
    ...streamRoutes({ ...dependencies, links, view }),
    ...readRoutes(dependencies),
    ...accountRoutes(dependencies.tenants, dependencies.signingSecrets),
  ]
}
