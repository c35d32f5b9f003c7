/** Part of the scripts that count the files of a tenant for its quota. */
export const STORED_LUA = new URL('stored.lua', import.meta.url)
