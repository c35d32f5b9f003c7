/** What requests have changed of models and deployments, beside what the models files describe. Kept in the books. */

/** A model without its versions. Times are milliseconds since 1970. */
export interface ModelPage {
  /** `owner/name` */
  name: string
  description: string
  visibility: 'public' | 'private'
  official: boolean
  hardware: string
  readme: string | null
  githubUrl: string | null
  paperUrl: string | null
  licenseUrl: string | null
  weightsUrl: string | null
  coverImageUrl: string | null
  createdAt: number
}

/** A version that a training has made. */
export interface MadeVersion {
  /** 64 hex digits. */
  id: string
  /** `owner/name` */
  model: string
  /** The version whose schema and behaviour it has. */
  like: string
  createdAt: number
}

export interface Deployment {
  /** `owner/name` */
  name: string
  model: string
  /** 64 hex digits; null: the latest of the model. */
  version: string | null
  hardware: string
  minInstances: number
  maxInstances: number
  /** Number of the release. */
  number: number
  createdAt: number
  /** The account that made it; null: a models file. */
  createdBy: string | null
}

/** Null: removed. */
export interface Changes {
  models: Map<string, ModelPage | null>
  versions: Map<string, MadeVersion | null>
  deployments: Map<string, Deployment | null>
}

export const noChanges = (): Changes => ({ models: new Map(), versions: new Map(), deployments: new Map() })

export type ChangeEntry =
  | { t: 'model'; name: string; row: ModelPage | null }
  | { t: 'version'; version: string; row: MadeVersion | null }
  | { t: 'deployment'; name: string; row: Deployment | null }

export function applyChange(changes: Changes, entry: ChangeEntry): void {
  switch (entry.t) {
    case 'model':
      changes.models.set(entry.name, entry.row)
      return
    case 'version':
      changes.versions.set(entry.version, entry.row)
      return
    case 'deployment':
      changes.deployments.set(entry.name, entry.row)
  }
}

export function* changeEntriesOf({ models, versions, deployments }: Changes): Generator<ChangeEntry> {
  for (const [name, row] of models) yield { t: 'model', name, row }
  for (const [version, row] of versions) yield { t: 'version', version, row }
  for (const [name, row] of deployments) yield { t: 'deployment', name, row }
}
