import { describe, expect, test } from 'vitest'
import {
  ForbiddenAddressError,
  isPublicAddress,
  resolvePublicAddress,
} from '../../src/shared/artifacts/public-address.ts'

const PRIVATE = [
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '100.100.100.200',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '::ffff:168.63.129.16',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '100::1',
  '100:0:0:1::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  '4000::1',
  '1::1',
  'not an address',
  '',
]
const PUBLIC = [
  '1.1.1.1',
  '8.8.8.8',
  '104.18.0.1',
  '172.32.0.1',
  '2606:4700::1111',
  '2a00:1450:4001::1',
  '::ffff:8.8.8.8',
]

describe('an address', () => {
  test.each(PRIVATE)('%s is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })
  test.each(PUBLIC)('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true)
  })
})

describe('a host of a URL', () => {
  test.each([
    'http://localhost/',
    'http://127.1/',
    'http://0x7f.1/',
    'http://2130706433/',
    'http://0177.0.0.1/',
    'http://①②⑦.⓪.⓪.①/',
    'http://127。0。0。1/',
    'http://0/',
    'http://[::1]/',
    'http://[::ffff:127.0.0.1]/',
    'http://[0:0:0:0:0:ffff:7f00:1]/',
    'http://169.254.169.254/latest/meta-data',
    'http://user@127.0.0.1/',
  ])('%s is refused', async (url) => {
    await expect(resolvePublicAddress(new URL(url).hostname)).rejects.toBeInstanceOf(ForbiddenAddressError)
  })

  test.each(['localhost.', 'no-such-host.invalid'])('%j is no way in either', async (host) => {
    await expect(resolvePublicAddress(host)).rejects.toThrow()
  })

  test('that is a public address is that address', async () => {
    expect(await resolvePublicAddress('1.1.1.1')).toBe('1.1.1.1')
    expect(await resolvePublicAddress('[2606:4700::1111]')).toBe('2606:4700::1111')
  })
})
