import type { ReactNode } from 'react'
import { Contrast, Moon, Sun } from 'lucide-react'
import { Link, useLocation } from 'wouter'
import { Account } from './account.tsx'
import { Logo } from './logo.tsx'
import { useReadiness } from './readiness.ts'
import { useConnection } from './runs.ts'
import { useTheme, type Theme } from './theme.ts'
import { mayDo, useWho } from './who.ts'

const HEALTH_EVERY_MS = 60_000

export function Shell({ children }: { children: ReactNode }) {
  const connection = useConnection()
  return (
    <>
      <header className="bar">
        <Link href="/" className="wordmark" aria-label="genqueue, all runs">
          <Logo />
          <span>genqueue</span>
        </Link>
        <Health />
        <Places />
        <span className="bar-space" />
        <LiveMark />
        <ThemeSwitch />
        <Account />
      </header>
      <div role="status" className="banner-place">
        {connection === 'lost' && <p className="banner">Connection lost, reconnecting…</p>}
      </div>
      {children}
    </>
  )
}

function Places() {
  const [path] = useLocation()
  const who = useWho()
  const places = [
    { name: 'Runs', href: '/', at: /^\/(?:$|new|runs\/)/ },
    { name: 'Batches', href: '/batches', at: /^\/batches/ },
    ...(mayDo(who, 'credits:read') ? [{ name: 'Credits', href: '/credits', at: /^\/credits/ }] : []),
    ...(mayDo(who, 'webhooks') ? [{ name: 'Notifications', href: '/notifications', at: /^\/notifications/ }] : []),
    ...(mayDo(who, 'admin') ? [{ name: 'Health', href: '/health', at: /^\/health/ }] : []),
  ]
  return (
    <nav className="places" aria-label="Pages">
      {places.map(({ name, href, at }) => (
        <Link key={href} href={href} className="place" aria-current={at.test(path) ? 'page' : undefined}>
          {name}
        </Link>
      ))}
    </nav>
  )
}

/** Whether the page is up to date with the service. */
function LiveMark() {
  const connection = useConnection()
  const label = { connecting: 'Connecting', open: 'Live', lost: 'Reconnecting' }[connection]
  return (
    <span className={`live live-${connection}`}>
      <span className="live-dot" />
      {label}
    </span>
  )
}

function Health() {
  const { data: health, isError } = useReadiness(HEALTH_EVERY_MS)
  if (!health || isError) return null
  if (health.status === 'ready' || health.status === 'ok') {
    return health.version ? <span className="version">{health.version}</span> : null
  }
  return (
    <a className="unhealthy" href="/readyz">
      Service {health.status.replaceAll('_', ' ')}
    </a>
  )
}

const THEMES: Record<Theme, { icon: ReactNode; label: string; next: string }> = {
  system: { icon: <Contrast />, label: 'system', next: 'light' },
  light: { icon: <Sun />, label: 'light', next: 'dark' },
  dark: { icon: <Moon />, label: 'dark', next: 'system' },
}

export function ThemeSwitch() {
  const { theme, next } = useTheme()
  const { icon, label, next: nextLabel } = THEMES[theme]
  return (
    <button
      type="button"
      className="icon-button"
      onClick={next}
      aria-label={`Theme: ${label}. Switch to ${nextLabel}`}
      title={`Theme: ${label}`}
    >
      {icon}
    </button>
  )
}
