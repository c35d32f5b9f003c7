import { json } from '../http/reply.ts'
import type { Handler } from '../http/router.ts'

const HARDWARE = [
  { name: 'CPU', sku: 'cpu' },
  { name: 'Nvidia T4 GPU', sku: 'gpu-t4' },
  { name: 'Nvidia L40S GPU', sku: 'gpu-l40s' },
  { name: 'Nvidia A100 (80GB) GPU', sku: 'gpu-a100-large' },
  { name: 'Nvidia H100 GPU', sku: 'gpu-h100' },
]

export const listHardware: Handler = () => json(200, HARDWARE)

export const isHardware = (sku: string): boolean => HARDWARE.some((one) => one.sku === sku)

export const unknownHardware = {
  type: 'enum',
  field: 'hardware',
  description: `hardware must be one of the following: ${HARDWARE.map(({ sku }) => JSON.stringify(sku)).join(', ')}`,
}
