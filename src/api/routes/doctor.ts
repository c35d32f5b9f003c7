import type { DoctorReport } from '../description/doctor.ts'
import { worst, type CheckResult } from '../../shared/doctor/rules/check.ts'
import type { Route } from '../http.ts'

/** `/v1/admin/doctor`: checks the set-up of the deployment now. Requests at the same time share one run. */
export function doctorRoutes(doctor: { run(): Promise<CheckResult[]> }): Route[] {
  let running: Promise<DoctorReport> | null = null

  async function report(): Promise<DoctorReport> {
    const checks = await doctor.run()
    return { state: worst(checks), at: new Date().toISOString(), checks }
  }

  return [
    {
      method: 'GET',
      path: '/v1/admin/doctor',
      scope: 'admin',
      async handle() {
        running ??= report().finally(() => {
          running = null
        })
        return { status: 200, body: await running }
      },
    },
  ]
}
