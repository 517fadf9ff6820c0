// Khronos' glTF validator on the files given; prints JSON: for each file its counts and messages.

import { readFile } from 'node:fs/promises'
import validator from 'gltf-validator'

const reports = {}
for (const file of process.argv.slice(2)) {
  const { issues } = await validator.validateBytes(new Uint8Array(await readFile(file)), { maxIssues: 20 })
  reports[file] = issues
}
console.log(JSON.stringify(reports))
