/**
 * `node compile-projects.cjs <folder of TypeScript 5> <folder>...` compiles the tsconfig.json of each folder as `tsc -p` does. Prints
 * the errors of each as JSON. Declarations of the language and of browsers are read once for all.
 */
const { join } = require('node:path')

const [compiler, ...folders] = process.argv.slice(2)
const ts = require(compiler)
const shared = new Map()

function errorsOf(folder) {
  const file = join(folder, 'tsconfig.json')
  const { options, fileNames, errors } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(file, ts.sys.readFile).config,
    ts.sys,
    folder,
    undefined,
    file,
  )
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile
  const libraries = ts.getDefaultLibFilePath(options).replace(/[^/\\]+$/, '')
  host.getSourceFile = (name, ...rest) => {
    if (!name.startsWith(libraries)) return read.call(host, name, ...rest)
    if (!shared.has(name)) shared.set(name, read.call(host, name, ...rest))
    return shared.get(name)
  }
  const program = ts.createProgram({ rootNames: fileNames, options, host, configFileParsingDiagnostics: errors })
  return ts.getPreEmitDiagnostics(program).map((one) => ts.formatDiagnostic(one, host))
}

process.stdout.write(JSON.stringify(Object.fromEntries(folders.map((folder) => [folder, errorsOf(folder)]))))
