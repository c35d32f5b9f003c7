/** API token of a service that uses the simulator, which accepts any; the compose file sets it too. */
export const SIMULATOR_TOKEN = 'simulator'
