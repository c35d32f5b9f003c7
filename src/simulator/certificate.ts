import { KeyObject, randomBytes, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import { REPLICATE_HOSTS } from './replicate-hosts.ts'

/** What `--tls` needs, in PEM. The authority's key is forgotten as soon as it has signed. */
export interface Certificate {
  key: string
  cert: string
  /** The authority that a client has to trust. */
  ca: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000
const VALID_DAYS = 365

/** A certificate for this machine, for the name or address given, and for Replicate's own names. */
export async function makeCertificate(host: string): Promise<Certificate> {
  // Only --tls needs them. The first is what the second demands of its users.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const generate = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const [authority, server] = await Promise.all([generate(), generate()])
  const shared = () => ({
    serialNumber: serialNumber(),
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + VALID_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
  })
  const { KeyUsageFlags: use } = x509
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...shared(),
    name: 'CN=Simulator of Replicate (local)',
    keys: authority,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(use.keyCertSign | use.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authority.publicKey),
    ],
  })
  const names = [...new Set(['localhost', '127.0.0.1', '::1', host, ...REPLICATE_HOSTS])]
  const cert = await x509.X509CertificateGenerator.create({
    ...shared(),
    subject: 'CN=Simulator of Replicate',
    issuer: ca.subject,
    publicKey: server.publicKey,
    signingKey: authority.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(use.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(server.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  })
  return {
    key: KeyObject.from(server.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: cert.toString('pem'),
    ca: ca.toString('pem'),
  }
}

/** 16 random bytes; the first bit is 0, so that the number is positive. */
const serialNumber = (): string => {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
